"""``core kafka worker --reload``: when a file of the project changes, the process drains and replaces itself by a new one.

One process, so that a debugger has the terminal: it replaces itself (``execv``) instead of watching over a child.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from core_messaging.errors import CoreMessagingError, ExtraMissing
from core_messaging.runtime.logging import tell_the_end

logger = logging.getLogger("core_messaging.reload")

_FILES = (".env", "pyproject.toml")
_LOOK_UP = 200  # milliseconds between two checks for changed files


class Reloader:
    """Watches folders from its start on, in a thread, until the first change."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)
        self._lock = threading.Lock()
        self._heard: Callable[[], Any] | None = None
        self._changed = threading.Event()
        self._what = ""

    def run(self, work: Callable[[], None]) -> None:
        """Run *work*, which calls ``until_changed``. After an error that the user can mend, wait for a change."""
        threading.Thread(target=self._watch, args=(_watched(self._folders),), daemon=True).start()
        try:
            work()
        except (CoreMessagingError, click.ClickException) as error:
            if isinstance(error, click.UsageError):
                raise
            tell_the_end(f"core: {error}")
            tell_the_end("waiting for a change of a file; Ctrl-C ends it")
            self._changed.wait()
            tell_the_end(f"{self._what} changed: starting again")
            start_anew()

    async def until_changed(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* to its end. A change cancels it, so it drains. Then a new process replaces this one."""
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        self._hear(lambda: loop.call_soon_threadsafe(self._stop, task))
        try:
            await task
        except asyncio.CancelledError:
            if not self._changed.is_set():
                raise
        if self._changed.is_set():
            start_anew()

    def _stop(self, task: asyncio.Future[None]) -> None:
        logger.info(
            "%s changed: finishing what runs, then starting again", self._what, extra={"action": "reload"}
        )
        task.cancel()

    def _hear(self, heard: Callable[[], Any]) -> None:
        """Call *heard* at the first change, at once if it has happened already."""
        with self._lock:
            self._heard = heard
            if self._changed.is_set():
                heard()

    def _watch(self, changes: Iterable[Sequence[Path]]) -> None:
        for paths in changes:
            with self._lock:
                self._what = ", ".join(map(_shown, paths))
                self._changed.set()
                if self._heard is not None:
                    self._heard()
            return


def _watched(folders: Sequence[Path]) -> Iterable[Sequence[Path]]:
    """Yield the files below *folders* as they change. Raises ExtraMissing."""
    try:
        from watchfiles import DefaultFilter, watch  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ExtraMissing("--reload", "watchfiles", "reload") from error
    theirs = logging.getLogger("watchfiles")
    if theirs.level == logging.NOTSET:  # else a line without the names of the files stands before ours
        theirs.setLevel(logging.WARNING)
    usual = DefaultFilter()  # leaves out .venv, .git, __pycache__ and the like

    def matters(change: Any, path: str) -> bool:
        file = Path(path)
        return (file.suffix == ".py" or file.name in _FILES) and usual(change, path)

    found = watch(*folders, watch_filter=matters, step=_LOOK_UP, raise_interrupt=False)
    return (sorted({Path(path) for _, path in changes}) for changes in found)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def start_anew() -> NoReturn:
    """Replace this process by a new one with the same command line."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves


def folders_of(files: Iterable[str]) -> list[Path]:
    """The folders to watch: the project, and those of *files* outside of it."""
    here = Path.cwd()
    others = {Path(file.partition(".py")[0]).resolve().parent for file in files}
    return [here, *sorted(folder for folder in others if not folder.is_relative_to(here))]
