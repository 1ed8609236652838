"""The one seam to Kafka: what the engine needs of a broker, in our words.

Two implementations: ``brokers.kafka`` (the real protocol) and ``brokers.memory`` (ships for users' tests).
One contract test suite runs against both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core_messaging.records import Committed, Outgoing, Receipt, Record, TopicPartition

Assigned = Callable[[Mapping[TopicPartition, Committed | None]], None]
Revoked = Callable[[frozenset[TopicPartition]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who reads what."""

    group_id: str
    topics: tuple[str, ...]
    client_id: str = "core-messaging"


class Consumer(Protocol):
    """One member of a consumer group.

    ``assigned`` is called with the partitions this member has from now on (all of them) and each one's commit, before any
    record of them is returned. Without a commit a partition begins at its first record (None), or at its end where the
    group begins with ``latest`` (a ``Beginning``). What is out of range goes on at the first record that is left, and says
    how many are gone. ``revoked`` is awaited before the partitions may go to
    another member, and commits made inside it still count.
    """

    async def start(self, assigned: Assigned, revoked: Revoked) -> None:
        """Join the group. Raises BrokerUnreachable, BrokerRefused."""
        ...

    async def fetch(self, limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """At most *limit* records of partitions that are not paused; waits *wait* seconds at most for the first of them.

        Each partition that has records gets its part of *limit*, so that a backlog in one does not keep out another; what
        one does not need is for the others. Over many fetches each has the same chance to come first.

        Raises BrokerError when the member is beyond repair: close it and open another one.
        """
        ...

    async def keep_alive(self) -> None:
        """Say "still here" without taking records; needed at least every few minutes."""
        ...

    def pause(self, sources: Sequence[TopicPartition]) -> None: ...
    def resume(self, sources: Sequence[TopicPartition]) -> None: ...

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Raises CommitRefused after a rebalance, BrokerError otherwise; neither ends the member."""
        ...

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset the next record of each partition will get."""
        ...

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where ``fetch`` goes on in each partition: beyond what it has returned, and beyond what is no record (the end of
        a transaction, what retention has deleted). Without partitions that stand still for a reason that was told, or where
        it is not known yet."""
        ...

    async def close(self) -> None:
        """Leave the group. Commits nothing by itself. Safe to repeat."""
        ...


class Answer(Protocol):
    """What became of a record, as a future tells it."""

    def cancelled(self) -> bool: ...

    def exception(self) -> BaseException | None: ...


class Sent(Awaitable[Receipt], Protocol):
    """A record that is with the broker. Awaited: where it is stored; raises RecordRefused, PublishFailed."""

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call *callback* with an Answer, on the event loop, as soon as awaiting this would not wait."""
        ...


class Publisher(Protocol):
    """Sends records; a record is sent only when it is acknowledged by all in-sync replicas."""

    async def start(self) -> None:
        """Raises BrokerUnreachable, BrokerRefused."""
        ...

    async def publish(self, record: Outgoing) -> Sent:
        """Hand *record* over, in order; await the answer for the acknowledgement.

        Raises (either await) RecordRefused when it can never work, PublishFailed when it may work later.
        """
        ...

    async def close(self) -> None:
        """Flush, then disconnect. Safe to repeat."""
        ...


class Topics(Protocol):
    """Looking at topics and making them."""

    async def missing(self, topics: Sequence[str]) -> Sequence[str]:
        """Those of *topics* that do not exist. Raises BrokerUnreachable."""
        ...

    async def create(self, topics: Sequence[str], partitions: int, replication: int) -> None:
        """Make them; one that exists by now is fine."""
        ...


class Broker(Protocol):
    """Where consumers and publishers come from."""

    @property
    def address(self) -> str: ...
    def consumer(self, subscription: Subscription) -> Consumer: ...
    def publisher(self) -> Publisher: ...
    def topics(self) -> Topics: ...
