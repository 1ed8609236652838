"""The pages about dead letters: count, look at one, replay and drop after a dry run."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from core_messaging.errors import NoSuchLetter, TopicMissing
from core_messaging.operations.dead_letters import (
    Listing,
    Queue,
    list_dead_letters,
    missing_queues,
    show_dead_letter,
)
from core_messaging.operations.replays import Order, plan_replay
from core_messaging.records import TopicPartition
from core_messaging.rules.letters import text_of_bytes
from core_messaging.settings import Settings
from core_messaging.text.printable import printable
from core_messaging_dashboard.gate import order_of
from core_messaging_dashboard.jobs import Job, Jobs
from core_messaging_dashboard.options import DashboardOptions
from core_messaging_dashboard.pages import Pages, Renderer
from core_messaging_dashboard.selection import WrongField, queues_of, selection_of
from core_messaging_dashboard.watch import Watch, logger
from core_messaging_dashboard.words import payload


class LetterPages:
    """Answers the requests for pages about dead letters. Only the queues of known workers can be looked at."""

    def __init__(
        self, settings: Settings, options: DashboardOptions, watch: Watch, render: Renderer, pages: Pages
    ) -> None:
        self._settings = settings
        self._options = options
        self._watch = watch
        self._render = render
        self._pages = pages
        self.jobs = Jobs(settings)

    def _queue(self, request: Request) -> Queue:
        name = request.path_params["queue"]
        try:
            return queues_of(self._watch.workers)[name]
        except KeyError:
            raise HTTPException(404, f"{name} is not the dead-letter queue of a worker.") from None

    async def letters(self, request: Request) -> Response:
        """All dead letters by worker, topic and error type."""
        queues = list(queues_of(self._watch.workers).values())
        missing = await missing_queues(self._settings, queues) if queues else []
        there = [queue for queue in queues if queue.topic not in missing]
        listing = await list_dead_letters(self._settings, there) if there else Listing((), {})
        return self._render.page(request, "letters", listing=listing, missing=missing, queues=queues)

    async def letter(self, request: Request) -> Response:
        """One dead letter."""
        queue, place = self._queue(request), request.path_params
        source = TopicPartition(queue.topic, place["partition"])
        try:
            letter = await show_dead_letter(self._settings, source, place["offset"])
        except NoSuchLetter:
            raise HTTPException(404, f"There is no letter at {source}@{place['offset']}.") from None
        kind, text = payload(letter.value)
        headers = [(printable(name), _one_line(value)) for name, value in letter.headers]
        facts: dict[str, Any] = {"kind": kind, "text": text, "key": _one_line(letter.key), "headers": headers}
        told = {name: printable(each) for name, each in letter.facts.items()}
        return self._render.page(request, "letter", letter=letter, facts=told, **facts)

    async def plan(self, request: Request) -> Response:
        """The dry run: what a replay or a drop would do. It changes nothing."""
        form, queue = await order_of(request, self._options), self._queue(request)
        try:
            order = Order(selection_of(queue, form), "dropped" if form.get("do") == "drop" else "replayed")
        except WrongField as error:
            raise HTTPException(400, f"{error}. Nothing was done.") from None
        try:
            planned = await plan_replay(self._settings, queue.topic, order, following=self._following(queue))
        except TopicMissing as error:
            raise HTTPException(404, str(error)) from None
        job = self.jobs.add(str(request.session["user"]), planned)
        return self._to(request, job)

    def _following(self, queue: Queue) -> frozenset[str]:
        follows = [each for each in self._watch.workers if each.on_dead_letter == "follow"]
        return frozenset(each.group_id for each in follows if queue.topic in each.dlq_topics)

    async def job(self, request: Request) -> Response:
        """One replay or drop: its plan, and how far it is."""
        found = self._job(request)
        return self._render.page(
            request, "job", job=found, live=f"jobs/{found.id}", part=self._job_part(request)
        )

    async def start(self, request: Request) -> Response:
        """Carry a plan out."""
        await order_of(request, self._options)
        job = self._job(request)
        facts = (request.session["user"], job.verb, job.planned.queue, job.planned.taken)
        logger.info("%s: begins to %s %s: %d letters", *facts, extra={"action": job.verb})
        self.jobs.start(job)
        return self._to(request, job)

    async def live_job(self, request: Request) -> Response:
        """How far a replay or drop is, whenever that changes."""
        self._job(request)
        return self._pages.stream(request, self._job_part)

    def _job(self, request: Request) -> Job:
        found = self.jobs.find(request.path_params["id"])
        if found is None:
            raise HTTPException(404, "This plan is not remembered any more. Make it again.")
        return found

    def _job_part(self, request: Request) -> str:
        job = self._job(request)
        facts: dict[str, Any] = {"job": job, "planned": job.planned, "outcome": job.outcome}
        return self._render.part(request, "_job", **facts)

    def _to(self, request: Request, job: Job) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/jobs/{job.id}", 303)


def _one_line(data: bytes | None) -> str:
    return "none" if data is None else printable(text_of_bytes(data))
