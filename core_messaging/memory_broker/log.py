"""The topics of the in-memory broker and the records in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from core_messaging.errors import BrokerError, RecordRefused, TopicMissing
from core_messaging.memory_broker.faults import ADDRESS
from core_messaging.partitioner import partition_of
from core_messaging.records import Outgoing, Receipt, Record, TopicPartition


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A stored record. The repr does not show the value: it may hold secrets."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # milliseconds since the epoch
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = ()


class _Topic:
    """The records of one topic, by partition and in the order in which they were stored."""

    def __init__(self, partitions: int) -> None:
        self.partitions: list[list[Record]] = [[] for _ in range(partitions)]
        self.deleted = [0] * partitions  # by partition: how many records were deleted from its beginning
        self.arrived: list[Record] = []
        self._keyless = 0

    def grow(self, partitions: int) -> None:
        """Add empty partitions until there are *partitions*."""
        added = partitions - len(self.partitions)
        self.partitions += [[] for _ in range(added)]
        self.deleted += [0] * added

    def choose(self, record: Outgoing) -> int:
        """Return the partition for *record*. Raises RecordRefused where it names one that does not exist."""
        count = len(self.partitions)
        if record.partition is not None:
            if not 0 <= record.partition < count:
                known = f"it has no partition {record.partition}, only {count}"
                raise RecordRefused(record.topic, known, "name one of those, or none")
            return record.partition
        if record.key is not None:
            return partition_of(record.key, count)
        # Kafka chooses at random. One partition after the other spreads records as well, and alike in every run.
        self._keyless += 1
        return (self._keyless - 1) % count


class Log:
    """The topics and their records.

    *auto_create*: partitions of a topic that is created at its first use, None: no topic is. *clock*: seconds since the
    epoch. *changed* is called with the name of a topic that is new or has new partitions, *stored* with the partition of a
    new record.
    """

    def __init__(
        self,
        auto_create: int | None,
        clock: Callable[[], float],
        changed: Callable[[str], None],
        stored: Callable[[TopicPartition], None],
    ) -> None:
        self._auto_create, self._clock = auto_create, clock
        self._changed, self._stored = changed, stored
        self._topics: dict[str, _Topic] = {}

    @property
    def names(self) -> list[str]:
        """The names of all topics."""
        return list(self._topics)

    def create(self, topic: str, partitions: int) -> None:
        """Create *topic*; a topic that exists stays as it is. Raises BrokerError for less than one partition."""
        if partitions < 1:
            raise BrokerError(f"topic {topic} cannot have {partitions} partitions; give it at least 1")
        if topic not in self._topics:
            self._topics[topic] = _Topic(partitions)
            self._changed(topic)

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Give *topic* new partitions, so that it has *partitions*. Raises TopicMissing, BrokerError if it has as many."""
        if topic not in self._topics:
            raise TopicMissing([topic], ADDRESS)
        has = len(self._topics[topic].partitions)
        if partitions <= has:
            raise BrokerError(f"topic {topic} has {has} partitions; give it more than that")
        self._topics[topic].grow(partitions)
        self._changed(topic)

    def is_usable(self, topic: str) -> bool:
        """Whether *topic* exists, or would be created at its first use."""
        return topic in self._topics or self._auto_create is not None

    def ensure(self, topic: str) -> bool:
        """Create *topic* if topics are created at their first use. Return whether it exists now."""
        if topic not in self._topics and self._auto_create is not None:
            self.create(topic, self._auto_create)
        return topic in self._topics

    def sources(self, topics: Iterable[str]) -> list[TopicPartition]:
        """Return all partitions of those *topics* that exist, in order."""
        found = [(name, self._topics[name]) for name in sorted(set(topics)) if name in self._topics]
        return [
            TopicPartition(name, number) for name, topic in found for number in range(len(topic.partitions))
        ]

    def append(self, record: Outgoing) -> Receipt:
        """Store *record*; return where it is. Raises TopicMissing, RecordRefused."""
        if not self.ensure(record.topic):
            raise TopicMissing([record.topic], ADDRESS)
        topic = self._topics[record.topic]
        source = TopicPartition(record.topic, topic.choose(record))
        stored = self._stamped(record, source, self.end(source))
        topic.partitions[source.partition].append(stored)
        topic.arrived.append(stored)
        self._stored(source)
        return Receipt(*source, stored.offset)

    def _stamped(self, record: Outgoing, source: TopicPartition, offset: int) -> MemoryRecord:
        timestamp = round(self._clock() * 1000) if record.timestamp is None else record.timestamp
        return MemoryRecord(*source, offset, timestamp, record.key, record.value, tuple(record.headers))

    def arrived(self, topic: str) -> list[Record]:
        """Return all records of *topic* in the order they were stored."""
        return list(self._topics[topic].arrived) if topic in self._topics else []

    def read(self, source: TopicPartition, offset: int, limit: int) -> list[Record]:
        """Return at most *limit* records of *source* from *offset* on."""
        first = offset - self.begin(source)
        return self._topics[source.topic].partitions[source.partition][first : first + limit]

    def begin(self, source: TopicPartition) -> int:
        """Return the offset of the first record that is left. Raises TopicMissing."""
        return self._topic_of(source).deleted[source.partition]

    def end(self, source: TopicPartition) -> int:
        """Return the offset that the next record of *source* gets. Raises TopicMissing."""
        return self.begin(source) + len(self._topic_of(source).partitions[source.partition])

    def delete_before(self, source: TopicPartition, offset: int) -> None:
        """Delete the records before *offset*, as retention does. Raises TopicMissing, BrokerError."""
        topic, count = self._topic_of(source), offset - self.begin(source)
        if not 0 <= count <= len(topic.partitions[source.partition]):
            raise BrokerError(
                f"{source} has no records up to offset {offset}; name one between its begin and its end"
            )
        gone = topic.partitions[source.partition][:count]
        del topic.partitions[source.partition][:count]
        topic.arrived = [record for record in topic.arrived if record not in gone]
        topic.deleted[source.partition] = offset

    def _topic_of(self, source: TopicPartition) -> _Topic:
        if source not in self.sources([source.topic]):
            raise TopicMissing([str(source)], ADDRESS)
        return self._topics[source.topic]
