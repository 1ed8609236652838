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
    """A stored record. The value stays out of the repr: it may hold secrets."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # milliseconds since the epoch
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = ()


class _Topic:
    """The records of one topic, by partition and in the order they came."""

    def __init__(self, partitions: int) -> None:
        self.partitions: list[list[Record]] = [[] for _ in range(partitions)]
        self.deleted = [0] * partitions  # of each partition, so many from the beginning
        self.arrived: list[Record] = []
        self._keyless = 0

    def choose(self, record: Outgoing) -> int:
        count = len(self.partitions)
        if record.partition is not None:
            if not 0 <= record.partition < count:
                known = f"it has no partition {record.partition}, only {count}"
                raise RecordRefused(record.topic, known, "name one of those, or none")
            return record.partition
        if record.key is not None:
            return partition_of(record.key, count)
        # Kafka spreads these by chance; in turn is the same to a reader, and the same in every run.
        self._keyless += 1
        return (self._keyless - 1) % count


class Log:
    """What is stored, and who is told of it."""

    def __init__(
        self,
        auto_create: int | None,
        clock: Callable[[], float],
        made: Callable[[str], None],
        stored: Callable[[TopicPartition], None],
    ) -> None:
        self._auto_create, self._clock = auto_create, clock
        self._made, self._stored = made, stored
        self._topics: dict[str, _Topic] = {}

    @property
    def names(self) -> list[str]:
        return list(self._topics)

    def create(self, topic: str, partitions: int) -> None:
        """One that exists stays as it is."""
        if partitions < 1:
            raise BrokerError(f"topic {topic} cannot have {partitions} partitions; give it at least 1")
        if topic not in self._topics:
            self._topics[topic] = _Topic(partitions)
            self._made(topic)

    def may_be_named(self, topic: str) -> bool:
        """Whether it is there, or would be made when somebody uses it."""
        return topic in self._topics or self._auto_create is not None

    def exists(self, topic: str) -> bool:
        """Whether it is there; naming it makes it, where topics are made by themselves."""
        if topic not in self._topics and self._auto_create is not None:
            self.create(topic, self._auto_create)
        return topic in self._topics

    def sources(self, topics: Iterable[str]) -> list[TopicPartition]:
        """The partitions of those that exist."""
        found = [(name, self._topics[name]) for name in sorted(set(topics)) if name in self._topics]
        return [
            TopicPartition(name, number) for name, topic in found for number in range(len(topic.partitions))
        ]

    def append(self, record: Outgoing) -> Receipt:
        if not self.exists(record.topic):
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
        return list(self._topics[topic].arrived) if topic in self._topics else []

    def read(self, source: TopicPartition, offset: int, limit: int) -> list[Record]:
        first = offset - self.begin(source)
        return self._topics[source.topic].partitions[source.partition][first : first + limit]

    def begin(self, source: TopicPartition) -> int:
        """The offset of the first record that is left."""
        return self._topic_of(source).deleted[source.partition]

    def end(self, source: TopicPartition) -> int:
        return self.begin(source) + len(self._topic_of(source).partitions[source.partition])

    def delete_before(self, source: TopicPartition, offset: int) -> None:
        """What retention does: the records before *offset* are gone."""
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
