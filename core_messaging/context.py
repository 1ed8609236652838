"""What a handler may ask about the message it holds."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from core_messaging.records import Headers, Record, coordinates_of

# Headers that go with whatever is published while a message is handled, unless the caller gives them himself. Set by
# a middleware (tracing); nobody else pays for it.
CARRIED: ContextVar[Headers] = ContextVar("core_messaging_carried", default=())


def _never() -> bool:
    return False


class Context:
    """Handed to a handler (or hook) that names a parameter ``context``.

    ``timestamp`` is milliseconds since the epoch, as Kafka has it. ``attempt`` is 1 for the first try, and
    0 in a hook that is told of a message that was not tried.
    ``deadline`` is the event loop's time (seconds) at which ``timeout`` ends this attempt, None without one.
    ``carry`` are the headers that tie what is published to this message: those of its trace, unless a middleware
    (tracing) sets others.
    """

    # Slots and properties over the record instead of a dataclass: one is made for every message as soon as
    # one handler or plugin asks for it, and copying ten fields would cost more than the no-op handler itself.
    __slots__ = ("_record", "_revoked", "attempt", "carry", "deadline", "worker")

    def __init__(
        self,
        record: Record,
        worker: str,
        attempt: int = 1,
        deadline: float | None = None,
        revoked: Callable[[], bool] = _never,
    ) -> None:
        self._record = record
        self.worker = worker
        self.attempt = attempt
        self.deadline = deadline
        self._revoked = revoked
        self.carry: Headers | None = None  # None: the source's own

    @property
    def topic(self) -> str:
        return self._record.topic

    @property
    def partition(self) -> int:
        return self._record.partition

    @property
    def offset(self) -> int:
        return self._record.offset

    @property
    def timestamp(self) -> int:
        return self._record.timestamp

    @property
    def key(self) -> bytes | None:
        return self._record.key

    @property
    def headers(self) -> Headers:
        return self._record.headers

    @property
    def revoked(self) -> bool:
        """True from when the partition is being taken away: a result that comes within ``revoke_timeout`` still counts, and
        later only if the partition comes straight back; else somebody else has the message."""
        return self._revoked()

    @property
    def coordinates(self) -> str:
        """``topic[partition]@offset``: what an operator searches for."""
        return coordinates_of(self._record)

    def __repr__(self) -> str:
        return f"<Context {self.coordinates} attempt {self.attempt} of {self.worker}>"
