"""Decides which of many events of one kind are logged. Knows no clock and writes no log."""

from __future__ import annotations

from collections.abc import Hashable

OTHERS = "other kinds"


class Throttle:
    """Lets one event of each kind through every *interval* seconds, and counts the others.

    It remembers at most *kinds* kinds: an error message with a changing number in it must not use more and more memory.
    """

    def __init__(self, interval: float, kinds: int = 256) -> None:
        self._interval = interval
        self._kinds = kinds
        self._last: dict[Hashable, tuple[float, int]] = {}  # kind -> (when let through, held back since)
        self._of_forgotten = 0  # events held back of kinds that are not remembered any more

    def pass_through(self, kind: Hashable, now: float) -> int | None:
        """Return how many events of *kind* were held back since the last one; None: hold this one back too.

        *now*: seconds.
        """
        last = self._last.get(kind)
        if last is not None and now - last[0] < self._interval:
            self._last[kind] = (last[0], last[1] + 1)
            return None
        if last is None and len(self._last) >= self._kinds:
            self._forget_oldest()
        self._last.pop(kind, None)  # keeps the dict in order, the oldest first
        self._last[kind] = (now, 0)
        return last[1] if last else 0

    @property
    def holds_back(self) -> bool:
        """Whether events were held back that no line has counted yet."""
        return bool(self._of_forgotten) or any(swallowed for _, swallowed in self._last.values())

    def overdue(self, now: float | None) -> list[tuple[Hashable, int]]:
        """Return (kind, count) of the events held back, for kinds of which none was let through for an interval.

        None as *now*: of all kinds. The events are counted once only.
        """
        due = {
            kind: (at, swallowed)
            for kind, (at, swallowed) in self._last.items()
            if swallowed and (now is None or now - at >= self._interval)
        }
        self._last |= {kind: (at, 0) for kind, (at, _) in due.items()}
        others, self._of_forgotten = self._of_forgotten, 0
        return [
            *((kind, swallowed) for kind, (_, swallowed) in due.items()),
            *([(OTHERS, others)] if others else []),
        ]

    def _forget_oldest(self) -> None:
        kind = next(iter(self._last))
        self._of_forgotten += self._last.pop(kind)[1]


def also(swallowed: int) -> str:
    """Return the end of a line that stands for *swallowed* others; "" if there are none."""
    return f" ({swallowed} more like this lately)" if swallowed else ""
