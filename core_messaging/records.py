"""Records, partitions and commits as Kafka has them: bytes and coordinates. Holds values only."""

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
    """A record as it was fetched, read-only. The client's own type of record fits without a copy."""

    @property
    def topic(self) -> str:
        """The topic that it was read from."""
        ...

    @property
    def partition(self) -> int:
        """The partition that it was read from."""
        ...

    @property
    def offset(self) -> int:
        """Its offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key; None without one."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value; None for a tombstone."""
        ...

    @property
    def headers(self) -> Headers:
        """Pairs of a name and bytes."""
        ...


def coordinates_of(record: Record) -> str:
    """Return ``topic[partition]@offset``, as in the log."""
    return f"{record.topic}[{record.partition}]@{record.offset}"


# Structs, because one is made for every record: making a frozen dataclass takes eight times as long.
class Outgoing(msgspec.Struct, frozen=True):
    """A record to publish. The repr does not show the value: it may hold secrets.

    ``timestamp``: milliseconds since the epoch; None: now. ``forwarded``: the record was read from Kafka before (a dead
    letter). Then the client's own size limit does not count: the broker decides, and a record that is too large may be stored
    compressed.
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
    """A group's commit for one partition: the next offset to read, and the commit metadata, a text."""

    offset: int
    metadata: str = ""


class Beginning(Committed):
    """Where a group starts in a partition. It is used in place of a commit: the group has not committed there yet."""

    __slots__ = ()
