"""One log line for many events of a kind. Pure."""

from __future__ import annotations

from collections.abc import Hashable

OTHERS = "other kinds"


class Throttle:
    """Lets one event a kind through every *interval* seconds and counts the others.

    At most *kinds* kinds are remembered: an error message with a changing number in it must not grow memory.
    """

    def __init__(self, interval: float, kinds: int = 256) -> None:
        self._interval = interval
        self._kinds = kinds
        self._last: dict[Hashable, tuple[float, int]] = {}  # kind -> (let through at, swallowed since)
        self._of_forgotten = 0  # swallowed, of kinds that there was no room for

    def pass_through(self, kind: Hashable, now: float) -> int | None:
        """How many were swallowed since the last one of *kind*; None: swallow this one too."""
        last = self._last.get(kind)
        if last is not None and now - last[0] < self._interval:
            self._last[kind] = (last[0], last[1] + 1)
            return None
        if last is None and len(self._last) >= self._kinds:
            self._forget_oldest()
        self._last.pop(kind, None)  # so that the oldest comes first
        self._last[kind] = (now, 0)
        return last[1] if last else 0

    @property
    def holds_back(self) -> bool:
        """Whether some were swallowed that nobody has been told of."""
        return bool(self._of_forgotten) or any(swallowed for _, swallowed in self._last.values())

    def overdue(self, now: float | None) -> list[tuple[Hashable, int]]:
        """Kind and count of what was swallowed, where no event of the kind was let through for an interval; None: of all
        kinds. They are not told again."""
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
    """The end of a line that stands for others: empty where it stands for itself alone."""
    return f" ({swallowed} more like this lately)" if swallowed else ""
