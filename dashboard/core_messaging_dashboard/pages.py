"""The pages about workers and processes, and the login."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.templating import Jinja2Templates

from core_messaging.config import WorkerConfig
from core_messaging.kafka.group_offsets import reading
from core_messaging.operations.fleet import pause, resume
from core_messaging.operations.matching_topics import with_matching_topics
from core_messaging.rules.group_progress import progress_of
from core_messaging.rules.pauses import Pause, PauseTarget
from core_messaging.settings import Settings
from core_messaging.text.printable import printable
from core_messaging_dashboard import words
from core_messaging_dashboard.gate import Login, csrf_of, form_of, order_of
from core_messaging_dashboard.options import DashboardOptions
from core_messaging_dashboard.rows import charts, states_of, worker_rows
from core_messaging_dashboard.watch import Watch, logger

PATIENCE = 15.0  # seconds; a browser hears at least so often that the dashboard is there
STREAMS = 64  # browsers that are told what changes


class Renderer:
    """Fills the templates."""

    def __init__(self, options: DashboardOptions, watch: Watch) -> None:
        self._options = options
        self._watch = watch
        self._templates = Jinja2Templates(Path(__file__).parent / "templates")
        self._templates.env.filters.update(
            number=words.number, span=words.span, moment=words.moment, size=words.size, plain=printable
        )

    def page(self, request: Request, name: str, status: int = 200, **facts: Any) -> Response:
        """A whole page."""
        return self._templates.TemplateResponse(
            request, f"{name}.html", self._facts(request) | facts, status_code=status
        )

    def part(self, request: Request, name: str, **facts: Any) -> str:
        """The part of a page that changes while it is looked at."""
        return self._templates.get_template(f"{name}.html").render(self._facts(request) | facts)

    def _facts(self, request: Request) -> dict[str, Any]:
        return {
            "request": request,
            "root": request.scope.get("root_path", ""),
            "user": request.session.get("user", ""),
            "csrf": csrf_of(request),
            "read_only": self._options.read_only,
            "has_fleet": self._watch.has_fleet,
            "trouble": self._watch.trouble,
        }


class Pages:
    """Answers the requests for pages about workers and processes."""

    def __init__(self, settings: Settings, options: DashboardOptions, watch: Watch, render: Renderer) -> None:
        self._settings = settings
        self._options = options
        self._watch = watch
        self._render = render
        self._login = Login(options)
        self._streams = 0

    async def login(self, request: Request) -> Response:
        """Ask for the token or the password; the printed address brings the token with it."""
        given = request.query_params.get("token")
        if request.method == "POST":
            given = (await form_of(request)).get("secret", "")
        if given is None:
            return self._render.page(request, "login", wrong=False, options=self._options)
        if not self._login.enter(request, given):
            logger.warning("a login was refused", extra={"action": "login refused"})
            return self._render.page(request, "login", 403, wrong=True, options=self._options)
        return RedirectResponse(f"{request.scope.get('root_path', '')}/", 303)

    async def logout(self, request: Request) -> Response:
        """End the session."""
        request.session.clear()
        return RedirectResponse(f"{request.scope.get('root_path', '')}/login", 303)

    async def overview(self, request: Request) -> Response:
        """All workers."""
        return self._render.page(request, "overview", live="overview", part=self._overview(request))

    def _overview(self, request: Request) -> str:
        rows = worker_rows(self._watch.lags, self._watch.fleet)
        drawn = {row.name: charts(self._watch.history.get(row.name, ())) for row in rows}
        return self._render.part(request, "_overview", rows=rows, charts=drawn, ready=bool(self._watch.lags))

    async def processes(self, request: Request) -> Response:
        """All processes."""
        return self._render.page(request, "processes", live="processes", part=self._processes(request))

    def _processes(self, request: Request) -> str:
        fleet = self._watch.fleet
        return self._render.part(request, "_processes", fleet=fleet)

    async def worker(self, request: Request) -> Response:
        """One worker: its charts, its processes, its partitions."""
        (config,) = await with_matching_topics(self._settings, [self.config_of(request)])
        async with reading(self._settings) as kafka:
            offsets = await kafka.partition_offsets(config.group_id, config.input_topics)
        partitions = [progress_of(each) for each in offsets]
        facts: dict[str, Any] = {"config": config, "partitions": partitions, "live": f"workers/{config.name}"}
        return self._render.page(request, "worker", part=self._worker(request), **facts)

    def _worker(self, request: Request) -> str:
        config = self.config_of(request)
        lag = next((each.lag for each in self._watch.lags if each.worker.name == config.name), None)
        states = states_of(self._watch.fleet, config.group_id, config.name)
        pauses = {} if self._watch.fleet is None else self._watch.fleet.pauses
        mine = {target: each for target, each in pauses.items() if target.group == config.group_id}
        drawn = charts(self._watch.history.get(config.name, ()))
        facts = {"config": config, "lag": lag, "states": states, "pauses": mine, "charts": drawn}
        return self._render.part(request, "_worker", **facts)

    def config_of(self, request: Request) -> WorkerConfig:
        """The worker that the address names. Raises HTTPException if there is none."""
        name = request.path_params["name"]
        for config in self._watch.workers:
            if config.name == name:
                return config
        raise HTTPException(404, f"There is no worker {name}.")

    async def pause(self, request: Request) -> Response:
        """Pause a worker in all its processes, or resume it."""
        form, config = await order_of(request, self._options), self.config_of(request)
        target, user = PauseTarget(group=config.group_id), str(request.session["user"])
        if form.get("do") == "resume":
            await resume(self._settings, target)
        else:
            await pause(self._settings, target, Pause(by=f"dashboard ({user})"[:249]))
        done = "resumed" if form.get("do") == "resume" else "paused"
        logger.info("%s: %s was %s", user, config.name, done, extra={"action": done, "worker": config.name})
        return RedirectResponse(f"{request.scope.get('root_path', '')}/workers/{config.name}", 303)

    async def live_overview(self, request: Request) -> Response:
        """The overview whenever it changes."""
        return self.stream(request, self._overview)

    async def live_processes(self, request: Request) -> Response:
        """The processes whenever they change."""
        return self.stream(request, self._processes)

    async def live_worker(self, request: Request) -> Response:
        """One worker whenever it changes."""
        self.config_of(request)
        return self.stream(request, self._worker)

    def stream(self, request: Request, part: Callable[[Request], str]) -> Response:
        """Server-sent events, each with the new text of *part*."""
        if self._streams >= STREAMS:
            raise HTTPException(
                503, "Too many browsers look at this dashboard. Reload the page to see changes."
            )
        return StreamingResponse(self._events(request, part), media_type="text/event-stream")

    async def _events(self, request: Request, part: Callable[[Request], str]) -> AsyncIterator[str]:
        self._streams += 1
        try:
            while not await request.is_disconnected():
                await self._watch.changed(PATIENCE)
                yield f"data: {json.dumps(part(request))}\n\n"
        finally:
            self._streams -= 1
