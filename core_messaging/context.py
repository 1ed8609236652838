"""What a handler may ask about the message it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to a handler that names a parameter ``context``.

    ``timestamp`` is milliseconds since the epoch, as Kafka has it. ``attempt`` is 1 for the first try.
    ``deadline`` is the event loop's time (seconds) at which ``timeout`` ends this attempt, None without one.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]
    attempt: int
    worker: str
    deadline: float | None = None
    _revoked: Callable[[], bool] = field(default=_never, repr=False)

    @property
    def revoked(self) -> bool:
        """True once the partition is gone: the result will be dropped, somebody else has the message."""
        return self._revoked()

    @property
    def coordinates(self) -> str:
        """``topic[partition]@offset``: what an operator searches for."""
        return f"{self.topic}[{self.partition}]@{self.offset}"
