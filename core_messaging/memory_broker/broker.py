"""A broker inside the process, for tests: groups, rebalances and commits as Kafka has them, without a network.

Deterministic: nothing here sleeps, polls, draws lots or starts a thread. What waits is a future, and time is the
loop's own (``call_at``), so a loop with a virtual clock drives it too. Not thread-safe: fill it before the loop
runs, or from inside the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from core_messaging.broker import Subscription
from core_messaging.definition.names import plain
from core_messaging.errors import PublishFailed, TopicMissing
from core_messaging.memory_broker.faults import ADDRESS, Faults
from core_messaging.memory_broker.group import Group, MemoryConsumer
from core_messaging.memory_broker.log import Log, MemoryRecord
from core_messaging.options import Topic
from core_messaging.records import Committed, Headers, Outgoing, Receipt, Record, TopicPartition
from core_messaging.rules.start_position import OffsetReset

__all__ = ["MemoryBroker", "MemoryConsumer", "MemoryPublisher", "MemoryRecord", "MemoryTopics"]


class MemoryBroker:
    """Topics, groups and commits of one test; they outlive the event loop, its members do not.

    *topics*: name -> number of partitions. *auto_create_partitions*: partitions of a topic that is made when it
    is first named; None: a topic that was not made is missing. *clock*: seconds since the epoch, for timestamps.
    *auto_offset_reset*: where a group begins, "earliest" or "latest"; partitions that are made later it reads from their
    beginning either way.

    ``unreachable``: set it to True, and every start and every look at topics raises BrokerUnreachable.
    """

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        auto_create_partitions: int | None = 4,
        *,
        clock: Callable[[], float] = time.time,
        auto_offset_reset: OffsetReset = "earliest",
    ) -> None:
        self._faults = Faults()
        self._log = Log(auto_create_partitions, clock, self._topic_made, self._record_stored)
        self._groups: dict[str, Group] = {}
        self._reset: OffsetReset = auto_offset_reset
        for topic, partitions in (topics or {}).items():
            self._log.create(plain(topic), partitions)

    @property
    def address(self) -> str:
        return ADDRESS

    @property
    def unreachable(self) -> bool:
        return self._faults.unreachable

    @unreachable.setter
    def unreachable(self, switched_on: bool) -> None:
        self._faults.unreachable = switched_on

    def consumer(self, subscription: Subscription) -> MemoryConsumer:
        group = self._group(subscription.group_id)
        return MemoryConsumer(subscription.topics, group, self._log, self._faults)

    def publisher(self) -> MemoryPublisher:
        return MemoryPublisher(self._log, self._faults)

    def topics(self) -> MemoryTopics:
        return MemoryTopics(self._log, self._faults)

    def put(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> Receipt:
        """Store a record at once, whatever faults are set. Raises TopicMissing, RecordRefused."""
        return self._log.append(Outgoing(plain(topic), value, key, tuple(headers), partition))

    def records(self, topic: str) -> list[Record]:
        """All records of *topic* in the order they were stored; none where there is no such topic."""
        return self._log.arrived(topic)

    def committed(self, group: str, topic: str) -> dict[int, Committed]:
        """Partition -> commit of *group*, for the partitions that have one."""
        found = self._group(group).commits.items()
        return {source.partition: commit for source, commit in sorted(found) if source.topic == topic}

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Let the records of a partition before *offset* be gone, as retention does. Raises TopicMissing, BrokerError."""
        self._log.delete_before(TopicPartition(topic, partition), offset)

    def fail_commits(self, n: int) -> None:
        """The next *n* commits, of whichever member, raise BrokerError and store nothing."""
        self._faults.commits = n

    def fail_publishes(self, topic: str, n: int) -> None:
        """The next *n* records for *topic* are not acknowledged (PublishFailed) and not stored."""
        self._faults.publishes[plain(topic)] = n

    def fail_fetches(self, n: int) -> None:
        """The next *n* members that fetch are beyond repair: this and every later fetch raises BrokerError."""
        self._faults.fetches = n

    def refuse_larger_than(self, size: int | None) -> None:
        """Refuse (RecordRefused) what has more than *size* bytes in key, value and headers; None: take all."""
        self._faults.largest = size

    def _group(self, group_id: str) -> Group:
        return self._groups.setdefault(plain(group_id), Group(self._log, self._reset))

    def _topic_made(self, topic: str) -> None:
        for group in self._groups.values():
            if any(topic in member.topics for member in group.members):
                group.rebalance()

    def _record_stored(self, source: TopicPartition) -> None:
        for group in self._groups.values():
            for member in group.members:
                if member.owns(source):
                    member.wake()

    def __repr__(self) -> str:
        return f"<MemoryBroker of {len(self._log.names)} topics>"


class MemoryPublisher:
    """Stores records as they are handed over."""

    def __init__(self, log: Log, faults: Faults) -> None:
        self._log, self._faults = log, faults
        self._open = False

    async def start(self) -> None:
        self._faults.check_reachable()
        self._open = True

    async def publish(self, record: Outgoing) -> asyncio.Future[Receipt]:
        """The answer is there already. Raises RecordRefused at once, PublishFailed from the future."""
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._faults.check_size(record)
        try:
            answer.set_result(self._store(record))
        except PublishFailed as error:
            answer.set_exception(error)
        return answer

    def _store(self, record: Outgoing) -> Receipt:
        if not self._open:
            raise PublishFailed(record.topic, "the publisher is not started, or closed")
        self._faults.check_publish(record.topic)
        try:
            return self._log.append(record)
        except TopicMissing as error:
            raise PublishFailed(record.topic, str(error)) from error

    async def close(self) -> None:
        self._open = False


class MemoryTopics:
    """Looking at topics and making them."""

    def __init__(self, log: Log, faults: Faults) -> None:
        self._log, self._faults = log, faults

    async def missing(self, topics: Sequence[str]) -> Sequence[str]:
        """None is, where topics are made by themselves; asking makes none."""
        self._faults.check_reachable()
        return [topic for topic in topics if not self._log.may_be_named(topic)]

    async def create(self, topics: Sequence[str], partitions: int, replication: int) -> None:  # noqa: ARG002 - one copy
        """There is one copy, whatever *replication* says."""
        self._faults.check_reachable()
        for topic in topics:
            declared = topic.partitions if isinstance(topic, Topic) else None
            self._log.create(plain(topic), declared or partitions)
