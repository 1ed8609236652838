"""Limits log lines, and reports how many it held back: in the next line of the kind, in a line of its own, or at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from core_messaging.logs.throttle import Throttle


class LogThrottle:
    """Lets one line of each kind through every *interval* seconds.

    ``say(kind, count)`` is called for lines that no later line of their kind has counted. *clock* returns the same time
    that ``pass_through`` gets, in seconds.
    """

    def __init__(
        self, interval: float, clock: Callable[[], float], say: Callable[[Hashable, int], None]
    ) -> None:
        self._throttle = Throttle(interval)
        self._interval = interval
        self._clock = clock
        self._say = say
        self._timer: asyncio.TimerHandle | None = None
        # The event loop of the timer. A program may run one loop after another.
        self._loop: asyncio.AbstractEventLoop | None = None

    def pass_through(self, kind: Hashable, now: float) -> int | None:
        """Return how many lines of *kind* were held back since the last one; None: hold this one back too."""
        held_back = self._throttle.pass_through(kind, now)
        if held_back is None:
            self._wait()
        return held_back

    def end(self) -> None:
        """Report all lines that are held back. Call it last."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell(None)

    def _wait(self) -> None:
        """Start the one timer of all kinds. Without an event loop there is none, and lines are reported at the end."""
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
    """Return *kind* as text: its parts with commas, and a file with its line as ``file:line``."""
    words = ""
    for part in kind if isinstance(kind, tuple) else (kind,):
        if part:
            words += f":{part}" if isinstance(part, int) and words.endswith(".py") else f", {part}"
    return words.removeprefix(", ")
