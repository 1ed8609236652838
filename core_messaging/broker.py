"""The interface between the engine and Kafka: what the engine needs of a broker.

There are two implementations: ``core_messaging.kafka`` (on aiokafka) and ``core_messaging.memory_broker`` (in memory, for
the tests of users). One contract test suite runs against both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core_messaging.options import TopicPattern
from core_messaging.records import Committed, Outgoing, Receipt, Record, TopicPartition

# Called with the added partitions and the commit of each; None: it has no commit.
Assigned = Callable[[Mapping[TopicPartition, Committed | None]], None]
# Awaited with the partitions that this member is about to lose. Returns those of them that it has given up; None: all.
Revoked = Callable[[frozenset[TopicPartition]], Awaitable[frozenset[TopicPartition] | None]]
# Awaited with the partitions that this member has lost already.
Lost = Callable[[frozenset[TopicPartition]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which consumer group reads which topics.

    ``client_id``: the name of the client in the broker's logs and quotas. ``pattern``: the topics by a regular expression,
    beside no ``topics``. A topic that is created later, and matches, is read too, from its first record.
    """

    group_id: str
    topics: tuple[str, ...]
    client_id: str = "core-messaging"
    pattern: TopicPattern | None = None


class Consumer(Protocol):
    """One member of a consumer group.

    The group changes what this member has by three callbacks. The partitions that none of them names stay as they are: they
    are fetched and committed all the time.

    ``assigned`` adds partitions, with the commit of each, before ``fetch`` returns any record of them. It is called after
    each rebalance, also when it adds none. A partition without a commit starts at its first record (None), or at its end
    where the group starts with ``latest`` (a ``Beginning``). Where the position is out of range, the consumer goes on at the
    first record that is left, and logs how many are gone; with ``stop``, ``fetch`` raises MessagesGone instead.

    ``revoked`` is awaited before the partitions may go to another member, and commits made in it still count. It runs
    beside the rest: other partitions may be assigned, revoked or lost meanwhile. It is cancelled when its own are lost. It
    returns as soon as some of the partitions are given up. They may go to another member at once, and ``revoked`` is awaited
    again with the rest. So a handler that takes long holds up its own partition only.

    ``lost`` tells that this member does not own the partitions any more, because its group has taken it for dead. Other
    members may have them already, so nothing of them can be committed. This member joins again when ``lost`` returns.
    """

    async def start(self, assigned: Assigned, revoked: Revoked, lost: Lost) -> None:
        """Join the group. Raises BrokerUnreachable, BrokerRefused."""
        ...

    async def fetch(self, limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return at most *limit* records of partitions that are not paused; wait at most *wait* seconds for the first.

        Each partition that has records gets its share of *limit*, so a backlog in one partition does not keep out another.
        What one partition does not need of its share goes to the others. Over many fetches, each partition has the same
        chance to come first.

        Raises BrokerError when this member cannot go on: close it and open another one.
        """
        ...

    async def keep_alive(self) -> None:
        """Tell the group that this member is alive, without taking records. Needed at least every few minutes."""
        ...

    def pause(self, sources: Sequence[TopicPartition]) -> None:
        """Let ``fetch`` return no records of *sources* until they are resumed."""
        ...

    def resume(self, sources: Sequence[TopicPartition]) -> None:
        """Let ``fetch`` return records of *sources* again."""
        ...

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit *offsets*: the broker stores each offset together with its metadata text.

        Raises CommitRefused where this member does not own one of the partitions, BrokerError otherwise. After both, this
        member can go on.
        """
        ...

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset that the next record of each partition will get. Raises BrokerError."""
        ...

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset at which ``fetch`` goes on in each partition.

        It is beyond the records that ``fetch`` has returned, and beyond offsets without a record (the end of a transaction,
        records that retention has deleted). A partition is left out where the position is not known yet, or where it stands
        still for a reason that was logged.
        """
        ...

    async def close(self) -> None:
        """Leave the group. Commits nothing by itself. Safe to repeat."""
        ...


class Answer(Protocol):
    """The answer for a published record, with two methods of a future."""

    def cancelled(self) -> bool:
        """Whether the record was given up without an answer."""
        ...

    def exception(self) -> BaseException | None:
        """Return why the record is not stored; None if it is stored."""
        ...


class Sent(Awaitable[Receipt], Protocol):
    """A record that was handed to the broker.

    Await it for the Receipt, which tells where the record is stored. Raises RecordRefused, PublishFailed.
    """

    def done(self) -> bool:
        """Whether the answer is there."""
        ...

    def result(self) -> Receipt:
        """What awaiting it returns or raises. Only valid once it is done."""
        ...

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call *callback* with an Answer, on the event loop, as soon as the answer is there."""
        ...


class Publisher(Protocol):
    """Sends records. A record counts as sent when all in-sync replicas have acknowledged it."""

    async def start(self) -> None:
        """Connect. Raises BrokerUnreachable, BrokerRefused."""
        ...

    async def publish(self, record: Outgoing) -> Sent:
        """Hand *record* over, in order. Await the returned object for the acknowledgement.

        Both this call and that await raise RecordRefused where the record can never be stored, and PublishFailed where
        another try may work.
        """
        ...

    async def close(self) -> None:
        """Send the records that wait, then disconnect. Safe to repeat."""
        ...


class Topics(Protocol):
    """Looks topics up and creates them."""

    async def missing(self, topics: Sequence[str]) -> Sequence[str]:
        """Return those of *topics* that do not exist; create none. Raises BrokerUnreachable."""
        ...

    async def create(self, topics: Sequence[str], partitions: int, replication: int) -> None:
        """Create *topics*; a topic that exists already is no error.

        What a ``Topic`` declares goes before *partitions* and *replication*. Raises BrokerError where the cluster refuses.
        """
        ...


class Broker(Protocol):
    """Makes consumers, publishers and topic tools."""

    @property
    def address(self) -> str:
        """What log lines and errors call this broker: for Kafka, ``host:port,host:port``."""
        ...

    def consumer(self, subscription: Subscription) -> Consumer:
        """Return a new member of the consumer group; it connects at its ``start``."""
        ...

    def publisher(self) -> Publisher:
        """Return a new publisher; it connects at its ``start``."""
        ...

    def topics(self) -> Topics:
        """Return what looks topics up and creates them."""
        ...
