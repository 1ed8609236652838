"""A throttle that tells what it has held back: with the next line of a kind, or by a line of its own once it is quiet, and at the
end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from core_messaging.logs.throttle import Throttle


class LogThrottle:
    """Lets one line a kind through every *interval* seconds. ``say(kind, count)`` is called for those that no later line
    has counted. *clock* tells the time that ``pass_through`` is given."""

    def __init__(
        self, interval: float, clock: Callable[[], float], say: Callable[[Hashable, int], None]
    ) -> None:
        self._throttle = Throttle(interval)
        self._interval = interval
        self._clock = clock
        self._say = say
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = (
            None  # of the timer; a program may run one after the other
        )

    def pass_through(self, kind: Hashable, now: float) -> int | None:
        """How many were held back since the last line of *kind*; None: hold this one back too."""
        held_back = self._throttle.pass_through(kind, now)
        if held_back is None:
            self._wait()
        return held_back

    def end(self) -> None:
        """Tell what is held back now: nothing follows."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell(None)

    def _wait(self) -> None:
        """One timer for all kinds, and none where no line is held back. Without an event loop they are told at the end."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._timer is None or self._loop is not loop:
            self._loop, self._timer = loop, loop.call_later(self._interval, self._quiet)

    def _quiet(self) -> None:
        self._timer = None
        self._tell(self._clock())
        if self._throttle.holds_back:
            self._wait()

    def _tell(self, now: float | None) -> None:
        for kind, count in self._throttle.overdue(now):
            self._say(kind, count)


def words_of(kind: Hashable) -> str:
    """*kind* as people read it: its parts, and a file with its line as ``file:line``."""
    words = ""
    for part in kind if isinstance(kind, tuple) else (kind,):
        if part:
            words += f":{part}" if isinstance(part, int) and words.endswith(".py") else f", {part}"
    return words.removeprefix(", ")
