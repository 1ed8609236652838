"""Run workers from a program: ``await run_worker(EmailWorker)``."""

from __future__ import annotations

import threading

from core_messaging.discovery.catalog import discover
from core_messaging.discovery.project import project_settings
from core_messaging.discovery.registry import Runnable, resolve
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings


async def run_worker(
    worker: Runnable, *, settings: Settings | None = None, handle_signals: bool = True
) -> None:
    """Run one worker (a class, a decorated function or a name) until it is asked to stop.

    SIGINT, SIGTERM, SIGHUP and cancellation ask it to: nothing new starts, what runs is finished and committed. Several
    calls in one program all hear of a signal, and so does a handler that the program itself has set.
    *handle_signals* False: signals are left to the program, which cancels this call. Only the main thread can handle
    signals; in another one they are left to the program in any case.

    *settings* None: those of the project in the current folder. Raises CoreMessagingError for what can be mended.
    """
    await run_workers([resolve(worker)], _options(settings, handle_signals=handle_signals))


async def run_all_workers(*, settings: Settings | None = None, handle_signals: bool = True) -> None:
    """Run every worker there is, as ``run_worker`` does. Raises BrokenPackages while one of them cannot run."""
    await run_workers(discover().all(), _options(settings, handle_signals=handle_signals))


def _options(settings: Settings | None, *, handle_signals: bool) -> RunOptions:
    main = threading.current_thread() is threading.main_thread()
    return RunOptions(settings=settings or project_settings(), handle_signals=handle_signals and main)
