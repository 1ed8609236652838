"""Names the code that blocks the event loop, while it does."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from time import monotonic
from types import FrameType, TracebackType
from typing import Self

logger = logging.getLogger("core_messaging.worker")

TICK = 0.25  # seconds between two signs of life of the loop
BLOCKED = 1.0  # seconds without one; heartbeats, fetches and signals wait as long


class LoopGuard:
    """A thread that expects a tick of the event loop, and reads the loop's stack when there is none.

    It says who holds the loop, with function and line, after 1 s and whenever that has doubled, and how long it was.
    Only a thread can see that. The loop itself notices a block when it is over, and a block for good is never over.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._last = monotonic()
        self._over = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._watch, name="core-loop-guard", daemon=True)

    def __enter__(self) -> Self:
        self._tick()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._last = monotonic()
        self._timer = self._loop.call_later(TICK, self._tick)

    def _watch(self) -> None:
        while not self._over.wait(TICK):
            last = self._last
            if monotonic() - last > BLOCKED and not _is_debugged(self._frame()):
                self._tell(last)

    def _frame(self) -> FrameType | None:
        return sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - documented in sys

    def _tell(self, last: float) -> None:
        """Log which code holds the loop while it does, because it may be for good. Log how long it was, if it ends."""
        due, where = 0.0, ""
        while self._last == last:
            seconds = monotonic() - last
            if seconds >= due:
                where = _innermost(self._frame())
                _say_blocked(seconds, where)
                due = 2 * seconds
            if self._over.wait(TICK):
                return
        _say_free(self._last - last, where)


def _say_blocked(seconds: float, where: str) -> None:
    logger.warning(
        "the event loop is blocked for %.1f s by %s; heartbeats, probes and all other messages wait. Use a plain "
        "def handler (it runs in a thread), await something asynchronous, or hand the work to a process",
        seconds,
        where,
        extra={"action": "loop blocked"},
    )


def _say_free(seconds: float, where: str) -> None:
    logger.warning(
        "the event loop runs again: it was blocked for %.1f s, last by %s",
        seconds,
        where,
        extra={"action": "loop free"},
    )


def _is_debugged(frame: FrameType | None) -> bool:
    """Whether a debugger is at a breakpoint: the loop is held up on purpose."""
    while frame is not None:
        if frame.f_globals.get("__name__") in ("bdb", "pdb"):
            return True
        frame = frame.f_back
    return False


def _innermost(frame: FrameType | None) -> str:
    if frame is None:
        return "unknown code"
    code = frame.f_code
    outer = _handler(frame)
    inside = f", called by {outer}" if outer else ""
    return f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno}){inside}"


def _handler(frame: FrameType) -> str:
    """The outermost frame that is the user's: what the engine called."""
    inner, found = frame, ""
    while inner.f_back is not None:
        outer = inner.f_back
        if "core_messaging" in outer.f_globals.get("__name__", "") and inner is not frame:
            found = f"{inner.f_code.co_qualname} ({inner.f_code.co_filename}:{inner.f_lineno})"
            break
        inner = outer
    return found
