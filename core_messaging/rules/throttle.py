"""One log line for many events of a kind. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class Throttle:
    """Lets one event a kind through every *interval* seconds and counts the others.

    At most *kinds* kinds are remembered: an error message with a changing number in it must not grow memory.
    """

    def __init__(self, interval: float, kinds: int = 256) -> None:
        self._interval = interval
        self._kinds = kinds
        self._last: dict[Hashable, tuple[float, int]] = {}  # kind -> (let through at, swallowed since)

    def pass_through(self, kind: Hashable, now: float) -> int | None:
        """How many were swallowed since the last one of *kind*; None: swallow this one too."""
        last = self._last.get(kind)
        if last is not None and now - last[0] < self._interval:
            self._last[kind] = (last[0], last[1] + 1)
            return None
        if len(self._last) >= self._kinds:
            self._last.clear()
        self._last[kind] = (now, 0)
        return last[1] if last else 0


def also(swallowed: int) -> str:
    """The end of a line that stands for others: empty where it stands for itself alone."""
    return f" ({swallowed} more like this lately)" if swallowed else ""
