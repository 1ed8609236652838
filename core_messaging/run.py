"""Run workers from a program: ``await run_worker(EmailWorker)``."""

from __future__ import annotations

import threading

from core_messaging.discovery import discover
from core_messaging.project import project_settings
from core_messaging.registry import Runnable, resolve
from core_messaging.runtime import RunOptions, run_workers
from core_messaging.settings import Settings


async def run_worker(worker: Runnable, *, settings: Settings | None = None) -> None:
    """Run one worker (a class, a decorated function or a name) until SIGINT, SIGTERM or cancellation.

    Each of them drains: nothing new starts, what runs is finished and committed. *settings* None: those of the
    project in the current folder. Raises CoreMessagingError for what can be mended.
    """
    await run_workers([resolve(worker)], _options(settings))


async def run_all_workers(*, settings: Settings | None = None) -> None:
    """Run every worker there is. Raises BrokenPackages while one of them cannot run."""
    await run_workers(discover().all(), _options(settings))


def _options(settings: Settings | None) -> RunOptions:
    # Only the main thread may handle signals; elsewhere whoever owns it cancels us.
    main = threading.current_thread() is threading.main_thread()
    return RunOptions(settings=settings or project_settings(), handle_signals=main)
