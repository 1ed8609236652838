"""Records as Kafka has them: bytes and coordinates. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

Headers = Sequence[tuple[str, bytes]]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Record(Protocol):
    """A record as fetched. Read-only; the client's own record type satisfies it without a copy."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None:
        """None for a tombstone."""
        ...

    @property
    def headers(self) -> Headers: ...


def coordinates_of(record: Record) -> str:
    """``topic[partition]@offset``: what an operator searches for."""
    return f"{record.topic}[{record.partition}]@{record.offset}"


# Structs where one is made for every record: a frozen dataclass takes eight times as long to make.
class Outgoing(msgspec.Struct, frozen=True):
    """A record to be published. The value stays out of the repr: it may hold secrets.

    ``forwarded``: the record came from the broker (a dead letter). The client's own size limit is not for it; the
    broker decides, and a record that is too large as it is may be stored compressed.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timestamp: int | None = None  # milliseconds since the epoch; None: now
    forwarded: bool = False

    def __repr__(self) -> str:
        return (
            f"Outgoing(topic={self.topic!r}, key={self.key!r}, headers={self.headers!r}, "
            f"partition={self.partition}, timestamp={self.timestamp})"
        )


class Receipt(msgspec.Struct, frozen=True):
    """Where an acknowledged record was stored."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's commit for one partition: the next offset to read, and free text kept with it."""

    offset: int
    metadata: str = ""


class Beginning(Committed):
    """Where a group begins in a partition, told in the place of a commit: it has not committed anything there yet."""

    __slots__ = ()
