"""One log line now and then for a state that lasts, with how long it has lasted. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class LastingState:
    """Says when a line about a state is due: at its begin, and then every *interval* seconds.

    A state that nobody has seen for *interval* seconds has ended. When it comes again, it begins again.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._began: dict[Hashable, float] = {}
        self._seen: dict[Hashable, float] = {}
        self._told: dict[Hashable, float] = {}

    def seen(self, state: Hashable, now: float) -> float | None:
        """Note that *state* is there at *now*. Seconds since it began if a line is due, else None."""
        if now - self._seen.get(state, -float("inf")) >= self._interval:
            self._began[state] = now
            self._told.pop(state, None)
        self._seen[state] = now
        if state in self._told and now - self._told[state] < self._interval:
            return None
        self._told[state] = now
        return now - self._began[state]


def so_far(seconds: float) -> str:
    """The end of a line about a state that has lasted for *seconds*: empty where it has just begun."""
    return f" (for {seconds:.0f} s so far)" if seconds else ""
