"""A broker inside the process, for tests: groups, rebalances and commits as in Kafka, without a network.

It is deterministic: nothing here sleeps, polls, chooses at random or starts a thread. Whatever waits is a future, and time
is that of the event loop (``call_at``), so a loop with a virtual clock drives it too. It is not thread-safe: fill it before
the loop runs, or from inside the loop.
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
    """The topics, groups and commits of one test.

    Its records and commits remain when the event loop ends; the members of its groups do not.

    Args:
        topics: Topic name -> number of partitions.
        auto_create_partitions: Number of partitions of a topic that is created at its first use. None: a topic is created
            by ``topics`` only, and any other is missing.
        clock: Returns seconds since the epoch, for the timestamps of records.
        auto_offset_reset: Where a group without commits starts: "earliest" or "latest". "stop": as "earliest", and a fetch
            raises MessagesGone where records that the group has not read are gone. A partition that is created later
            is read from its first record either way.
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
        self._log = Log(auto_create_partitions, clock, self._topic_changed, self._record_stored)
        self._groups: dict[str, Group] = {}
        self._reset: OffsetReset = auto_offset_reset
        for topic, partitions in (topics or {}).items():
            self._log.create(plain(topic), partitions)

    @property
    def address(self) -> str:
        """What log lines and errors call this broker: "memory"."""
        return ADDRESS

    @property
    def topic_names(self) -> tuple[str, ...]:
        """The names of all topics."""
        return tuple(self._log.names)

    @property
    def unreachable(self) -> bool:
        """True: every start and every lookup of topics raises BrokerUnreachable. Set it in a test."""
        return self._faults.unreachable

    @unreachable.setter
    def unreachable(self, switched_on: bool) -> None:
        self._faults.unreachable = switched_on

    def consumer(self, subscription: Subscription) -> MemoryConsumer:
        """Return a new member of the consumer group; it joins at its ``start``."""
        group = self._group(subscription.group_id)
        return MemoryConsumer(subscription, group, self._log, self._faults)

    def publisher(self) -> MemoryPublisher:
        """Return a new publisher; it stores nothing before its ``start``."""
        return MemoryPublisher(self._log, self._faults)

    def topics(self) -> MemoryTopics:
        """Return what looks topics up and creates them."""
        return MemoryTopics(self._log, self._faults)

    def put(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> Receipt:
        """Store a record at once, whatever faults are set. Return where it is.

        *partition*: None chooses by the key; without a key, one partition after the other.

        Raises TopicMissing, and RecordRefused where the topic has no such partition.
        """
        return self._log.append(Outgoing(plain(topic), value, key, tuple(headers), partition))

    def records(self, topic: str) -> list[Record]:
        """Return all records of *topic* in the order they were stored; an empty list if the topic does not exist."""
        return self._log.arrived(topic)

    def committed(self, group: str, topic: str) -> dict[int, Committed]:
        """Return the commits of *group* in *topic*: partition -> commit, for the partitions that have one."""
        found = self._group(group).commits.items()
        return {source.partition: commit for source, commit in sorted(found) if source.topic == topic}

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records of a partition before *offset*, as retention does.

        Raises TopicMissing, and BrokerError where the partition has no records up to *offset*.
        """
        self._log.delete_before(TopicPartition(topic, partition), offset)

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Give *topic* new partitions, so that it has *partitions* in all; groups that read it share them out.

        Raises TopicMissing, and BrokerError where the topic has as many.
        """
        self._log.add_partitions(plain(topic), partitions)

    def move_coordinator(self, group: str, seconds: float) -> None:
        """Let *group* be without a coordinator for *seconds*: no rebalance ends, and commits raise BrokerError.

        Call it inside the event loop.
        """
        self._group(group).coordinator.move(seconds)

    def fail_commits(self, n: int) -> None:
        """Let the next *n* commits, of any member, raise BrokerError and store nothing."""
        self._faults.commits = n

    def fail_publishes(self, topic: str, n: int) -> None:
        """Let the next *n* records for *topic* be neither stored nor acknowledged (PublishFailed)."""
        self._faults.publishes[plain(topic)] = n

    def fail_fetches(self, n: int) -> None:
        """Let the next *n* members that fetch fail for good: this and every later fetch of them raises BrokerError."""
        self._faults.fetches = n

    def refuse_larger_than(self, size: int | None) -> None:
        """Refuse records that have more than *size* bytes in key, value and headers (RecordTooLarge). None: refuse none."""
        self._faults.largest = size

    def _group(self, group_id: str) -> Group:
        return self._groups.setdefault(plain(group_id), Group(self._log, self._reset))

    def _topic_changed(self, topic: str) -> None:
        for group in self._groups.values():
            if [member for member in group.members if member.topics.include_new(topic)]:
                group.rebalance()

    def _record_stored(self, source: TopicPartition) -> None:
        for group in self._groups.values():
            for member in group.members:
                if member.owns(source):
                    member.wake()

    def __repr__(self) -> str:
        return f"<MemoryBroker of {len(self._log.names)} topics>"


class MemoryPublisher:
    """Stores each record at once."""

    def __init__(self, log: Log, faults: Faults) -> None:
        self._log, self._faults = log, faults
        self._open = False

    async def start(self) -> None:
        """Let ``publish`` store records from now on. Raises BrokerUnreachable."""
        self._faults.check_reachable()
        self._open = True

    async def publish(self, record: Outgoing) -> asyncio.Future[Receipt]:
        """Store *record*; return a future that is done. Raises RecordRefused; the future raises PublishFailed."""
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._faults.check_size(record)
        try:
            answer.set_result(self._store(record))
        except PublishFailed as error:
            answer.set_exception(error)
        return answer

    def _store(self, record: Outgoing) -> Receipt:
        if not self._open:
            raise PublishFailed(record.topic, "the publisher is not started, or is closed")
        self._faults.check_publish(record.topic)
        try:
            return self._log.append(record)
        except TopicMissing as error:
            raise PublishFailed(record.topic, str(error)) from error

    async def close(self) -> None:
        """Let ``publish`` store no more records. Safe to repeat."""
        self._open = False


class MemoryTopics:
    """Looks topics up and creates them."""

    def __init__(self, log: Log, faults: Faults) -> None:
        self._log, self._faults = log, faults

    async def missing(self, topics: Sequence[str]) -> Sequence[str]:
        """Return those of *topics* that do not exist; none where topics are created at their first use. Creates none.

        Raises BrokerUnreachable.
        """
        self._faults.check_reachable()
        return [topic for topic in topics if not self._log.is_usable(topic)]

    async def create(self, topics: Sequence[str], partitions: int, replication: int) -> None:  # noqa: ARG002 - one copy
        """Create *topics*; a topic that exists stays as it is. There is one copy, whatever *replication* says.

        Raises BrokerUnreachable, and BrokerError for less than one partition.
        """
        self._faults.check_reachable()
        for topic in topics:
            declared = topic.partitions if isinstance(topic, Topic) else None
            self._log.create(plain(topic), declared or partitions)
