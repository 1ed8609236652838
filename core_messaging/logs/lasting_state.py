"""Decides when a state that lasts is logged: at its start, and from time to time with how long it has lasted."""

from __future__ import annotations

from collections.abc import Hashable


class LastingState:
    """Tells when a line about a state is due: at its start, and then every *interval* seconds.

    A state that was not seen for *interval* seconds has ended. When it is seen again, it starts again.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._began: dict[Hashable, float] = {}
        self._seen: dict[Hashable, float] = {}
        self._logged: dict[Hashable, float] = {}

    def seen(self, state: Hashable, now: float) -> float | None:
        """Note that *state* exists at *now* (seconds). Return the seconds since it began if a line is due, else None."""
        if now - self._seen.get(state, -float("inf")) >= self._interval:
            self._began[state] = now
            self._logged.pop(state, None)
        self._seen[state] = now
        if state in self._logged and now - self._logged[state] < self._interval:
            return None
        self._logged[state] = now
        return now - self._began[state]


def so_far(seconds: float) -> str:
    """Return the end of a line about a state that has lasted for *seconds*; "" if it has just started."""
    return f" (for {seconds:.0f} s so far)" if seconds else ""
