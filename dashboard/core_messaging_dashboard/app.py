"""The web application: its routes, and what stands before them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from core_messaging.config import WorkerConfig
from core_messaging.errors import CoreMessagingError
from core_messaging.settings import Settings
from core_messaging_dashboard.gate import Gate, SafeHeaders
from core_messaging_dashboard.letter_pages import LetterPages
from core_messaging_dashboard.options import DashboardOptions
from core_messaging_dashboard.pages import Pages, Renderer
from core_messaging_dashboard.watch import Watch, logger

SESSION = 12 * 3600  # seconds that a login lasts


def make_app(settings: Settings, workers: Sequence[WorkerConfig], options: DashboardOptions) -> Starlette:
    """Make the application for *workers*."""
    watch = Watch(settings, workers, options.interval)
    render = Renderer(options, watch)
    pages = Pages(settings, options, watch, render)
    letters = LetterPages(settings, options, watch, render, pages)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(watch.run(), name="dashboard")
        yield
        looking.cancel()
        await asyncio.wait([looking])
        await letters.jobs.end()

    async def refused(request: Request, error: Exception) -> Response:
        status, text = (
            (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, str(error))
        )
        return render.page(request, "error", status, text=text)

    async def failed(request: Request, error: Exception) -> Response:
        logger.warning("a page could not be made: %s", error, extra={"action": "page failed"})
        return render.page(request, "error", 502, text=str(error))

    return Starlette(
        routes=_routes(pages, letters),
        middleware=_middleware(options),
        lifespan=lifespan,
        exception_handlers={HTTPException: refused, CoreMessagingError: failed},
    )


def _middleware(options: DashboardOptions) -> list[Middleware]:
    return [
        Middleware(SafeHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=options.hosts, www_redirect=False),
        Middleware(
            SessionMiddleware,
            secret_key=secrets.token_urlsafe(32),  # of this process: a restart ends all sessions
            session_cookie="core_dashboard",
            max_age=SESSION,
            same_site="strict",
            https_only=options.secure,
            path=options.root_path or "/",
        ),
        Middleware(Gate, options=options),
    ]


def _routes(pages: Pages, letters: LetterPages) -> list[BaseRoute]:
    return [
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        Route("/login", pages.login, methods=["GET", "POST"]),
        Route("/logout", pages.logout, methods=["POST"]),
        Route("/", pages.overview),
        Route("/processes", pages.processes),
        Route("/workers/{name}", pages.worker),
        Route("/workers/{name}/pause", pages.pause, methods=["POST"]),
        Route("/letters", letters.letters),
        Route("/letters/{queue}/plan", letters.plan, methods=["POST"]),
        Route("/letters/{queue}/{partition:int}/{offset:int}", letters.letter),
        Route("/jobs/{id}", letters.job),
        Route("/jobs/{id}/start", letters.start, methods=["POST"]),
        Route("/live/overview", pages.live_overview),
        Route("/live/processes", pages.live_processes),
        Route("/live/workers/{name}", pages.live_worker),
        Route("/live/jobs/{id}", letters.live_job),
    ]
