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
    """A thread that expects a sign of life of the event loop, and looks at the loop's stack when there is none.

    One line a block, with the function and line that holds the loop. Only a thread can see that: the loop
    itself finds out when it is over, and then nobody knows who it was.
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
            if monotonic() - last > BLOCKED:
                where = _innermost(sys._current_frames().get(self._loop_thread))  # noqa: SLF001 - documented in sys
                self._wait_out(last)
                if not self._over.is_set():
                    self._say(monotonic() - last, where)

    def _wait_out(self, last: float) -> None:
        while self._last == last and not self._over.wait(TICK):
            pass

    def _say(self, seconds: float, where: str) -> None:
        logger.warning(
            "the event loop was blocked for %.1f s by %s; heartbeats and all other messages waited. Use a plain "
            "def handler (it runs in a thread), await something asynchronous, or hand the work to a process",
            seconds,
            where,
            extra={"action": "loop blocked"},
        )


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
