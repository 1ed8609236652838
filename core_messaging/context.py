"""The context of a message: what a handler may know about the message that it processes."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from core_messaging.records import Headers, Record, coordinates_of

# Headers that are added to every record published while a message is handled, unless the caller gives them itself. A
# middleware for tracing sets them; without one they cost nothing.
CARRIED: ContextVar[Headers] = ContextVar("core_messaging_carried", default=())


def _never() -> bool:
    return False


class Context:
    """The context of a message. A handler or hook gets it if it names a parameter ``context``.

    - ``worker``: the name of the worker
    - ``attempt``: 1 for the first attempt; 0 in a hook that is called for a message that was not tried
    - ``deadline``: the time of the event loop (seconds) at which ``timeout`` ends this attempt; None without a ``timeout``
    - ``carry``: the headers of records that are published as the result of this message; None: those of its trace. A
      middleware for tracing may set others.
    """

    # Slots and properties over the record instead of a dataclass: a context is made for every message as soon as one handler
    # or plugin asks for it, and copying ten fields would cost more than a handler that does nothing.
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
        self.carry: Headers | None = None  # None: the trace headers of the message

    @property
    def topic(self) -> str:
        """The topic that the message was read from."""
        return self._record.topic

    @property
    def partition(self) -> int:
        """The partition that the message was read from."""
        return self._record.partition

    @property
    def offset(self) -> int:
        """The offset of the message in its partition."""
        return self._record.offset

    @property
    def timestamp(self) -> int:
        """When the message was written, in milliseconds since the epoch, as Kafka stores it."""
        return self._record.timestamp

    @property
    def key(self) -> bytes | None:
        """The key of the message; None without one."""
        return self._record.key

    @property
    def headers(self) -> Headers:
        """The headers of the message: pairs of a name and bytes."""
        return self._record.headers

    @property
    def revoked(self) -> bool:
        """Whether the partition is being taken away from this worker.

        A result within ``revoke_timeout`` seconds still counts. A later one counts only if the partition comes straight back;
        otherwise another worker gets the message.
        """
        return self._revoked()

    @property
    def coordinates(self) -> str:
        """``topic[partition]@offset``, as in the log."""
        return coordinates_of(self._record)

    def __repr__(self) -> str:
        return f"<Context {self.coordinates} attempt {self.attempt} of {self.worker}>"
