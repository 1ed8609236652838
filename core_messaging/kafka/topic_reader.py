"""Reads topics once from beginning to end. Joins no group, commits nothing and creates no topic."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors

from core_messaging.errors import BrokerError, TopicForbidden, TopicMissing, UnreadableTopic
from core_messaging.kafka.client_lifecycle import admin_of, reader_of
from core_messaging.kafka.errors import as_broker_error, describe
from core_messaging.kafka.parse_errors import unparsable_in
from core_messaging.kafka.topic_lookup import TopicLookup, look_up_topics
from core_messaging.records import Record, TopicPartition
from core_messaging.settings import Settings

WAIT = 200  # milliseconds that one look waits for records
FETCH, PARTITION_FETCH = 16 * 1024 * 1024, 2 * 1024 * 1024  # bytes of one answer: this bounds the memory
PARTITIONS = 8  # that are read side by side; each has up to PARTITION_FETCH bytes in memory
RECORDS = 100  # of one look: few enough that parsing and counting them happens in the processor's cache
MERGED_RECORDS = 200  # of one look at one of several partitions


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets of a partition: from ``begin`` up to, but without, ``end``."""

    begin: int
    end: int


Spans = Mapping[TopicPartition, Span]
Report = Callable[[TopicPartition, UnreadableTopic], None]  # of a partition that cannot be read to its end


class TopicReader:
    """Reads topics. Opened by ``reading_topics(settings)``."""

    def __init__(self, settings: Settings, admin: Any, client: Any) -> None:
        self._settings = settings
        self._admin = admin
        self._client = client

    async def look(self, topics: Sequence[str]) -> TopicLookup:
        """Return which of *topics* exist, and their partitions. Raises BrokerError."""
        try:
            found = await look_up_topics(self._admin, topics)
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        if found.forbidden:
            raise TopicForbidden(found.forbidden, self._settings.kafka_bootstrap_servers)
        return found

    async def spans(self, topic: str) -> Spans:
        """Return the span of every partition of *topic*. Raises TopicMissing, BrokerError."""
        sources = await self._sources(topic)
        try:
            self._client.assign(sources)
            begins = await self._client.beginning_offsets(sources)
            ends = await self._client.end_offsets(sources)
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        return {TopicPartition(*each): Span(begins[each], ends[each]) for each in sources}

    async def spans_since(self, topic: str, seconds: float) -> Spans:
        """Return the spans of *topic* from the first record that was written at *seconds* since the epoch, or later.

        Raises TopicMissing, BrokerError.
        """
        sources = await self._sources(topic)
        try:
            self._client.assign(sources)
            found = await self._client.offsets_for_times(dict.fromkeys(sources, int(seconds * 1000)))
            ends = await self._client.end_offsets(sources)
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        begins = {each: ends[each] if at is None else at.offset for each, at in found.items()}
        return {TopicPartition(*each): Span(begins[each], ends[each]) for each in sources}

    async def _sources(self, topic: str) -> list[Any]:
        found = await self.look([topic])
        if topic not in found.partitions:
            raise TopicMissing([topic], self._settings.kafka_bootstrap_servers)
        return [aiokafka.TopicPartition(topic, number) for number in found.partitions[topic]]

    async def read(self, spans: Spans, report: Report | None = None) -> AsyncGenerator[Sequence[Record]]:
        """All records of *spans*, each partition in its order.

        A record that cannot be parsed ends its partition, and *report* is called. Without *report*, UnreadableTopic is
        raised. Raises BrokerError.
        """
        left = list(spans.items())
        while left:
            some, left = dict(left[:PARTITIONS]), left[PARTITIONS:]
            reading = Reading(self._settings, self._client, some, report)
            while reading.left:
                for source, records in (await reading.next_records(reading.left, RECORDS)).items():
                    if kept := reading.within(source, records):
                        yield kept

    async def merged(
        self, spans: Spans, turn: Callable[[Record], tuple[float, int]], report: Report | None = None
    ) -> AsyncIterator[Record]:
        """All records of *spans*, one by one: each partition in its order, and the partitions by *turn* among each other."""
        reading = Reading(self._settings, self._client, spans, report)
        streams = [_one_by_one(reading, source) for source in list(reading.left)]
        firsts = [(number, await anext(stream, None)) for number, stream in enumerate(streams)]
        heads = [(turn(record), number, record) for number, record in firsts if record is not None]
        heapq.heapify(heads)
        while heads:
            _, number, record = heads[0]
            yield record
            following = await anext(streams[number], None)
            if following is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (turn(following), number, following))

    async def record(self, source: TopicPartition, offset: int) -> Record | None:
        """Return the record at *offset*; None if there is none. Raises TopicMissing, BrokerError, UnreadableTopic."""
        span = (await self.spans(source.topic)).get(source)
        if span is None or not span.begin <= offset < span.end:
            return None
        async for records in self.read({source: Span(offset, offset + 1)}):
            return records[0]
        return None


async def _one_by_one(reading: Reading, source: TopicPartition) -> AsyncIterator[Record]:
    while source in reading.left:
        found = await reading.next_records([source], MERGED_RECORDS)
        for record in reading.within(source, found.get(source, ())):
            yield record


class Reading:
    """The progress of one pass over some partitions. ``left``: the partitions that are not read to their end."""

    def __init__(self, settings: Settings, client: Any, spans: Spans, report: Report | None) -> None:
        self._settings = settings
        self._report = report
        self._client = client
        self._ends = {source: span.end for source, span in spans.items()}
        self.left = {source: span for source, span in spans.items() if span.begin < span.end}
        self._silent = 0.0  # seconds in which nothing came
        if self.left:
            client.assign([aiokafka.TopicPartition(*source) for source in self.left])
        for source, span in self.left.items():
            client.seek(aiokafka.TopicPartition(*source), span.begin)

    async def next_records(
        self, sources: Sequence[TopicPartition] | Mapping[TopicPartition, Any], most: int
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return at most *most* records of *sources*; none where none came in time."""
        wanted = [aiokafka.TopicPartition(*source) for source in sources]
        found: Mapping[Any, Sequence[Record]]
        try:
            found = await self._client.getmany(*wanted, timeout_ms=WAIT, max_records=most)
            await self._close_finished(wanted)
        except Exception as error:
            found = self._before(error)
        self._refuse_silence(found, wanted)
        return {TopicPartition(*source): records for source, records in found.items()}

    def _before(self, error: Exception) -> Mapping[Any, Sequence[Record]]:
        """End the partition that *error* is about; what was parsed before it. Raises whatever else it is."""
        unreadable = unparsable_in(error)
        if unreadable is None:
            if isinstance(error, kafka_errors.KafkaError):
                raise as_broker_error(error, self._settings) from error
            raise error
        source = TopicPartition(*unreadable.source)
        told = UnreadableTopic(f"{source}@{unreadable.offset}", describe(error))
        if self._report is None:
            raise told from error
        self._report(source, told)
        self.left.pop(source, None)
        self._client.pause(unreadable.source)
        return unreadable.before

    async def _close_finished(self, sources: Sequence[Any]) -> None:
        """Stop to fetch partitions that are read to their end.

        The end of a transaction takes an offset and is no record, so the position tells, and not the last record.
        """
        for source in sources:
            if await self._client.position(source) >= self._ends[TopicPartition(*source)]:
                self.left.pop(TopicPartition(*source), None)
                self._client.pause(source)

    def within(self, source: TopicPartition, records: Sequence[Record]) -> Sequence[Record]:
        """Those of *records* that were there when the spans were looked up."""
        end = self._ends[source]
        if records and records[-1].offset >= end:
            return [record for record in records if record.offset < end]
        return records

    def _refuse_silence(self, found: Mapping[Any, Any], wanted: Sequence[Any]) -> None:
        self._silent = 0.0 if found else self._silent + WAIT / 1000
        if self._silent >= self._settings.kafka_request_timeout:
            raise BrokerError(
                f"nothing came from {wanted[0].topic} for {self._silent:.0f} s, although there is more to read; the topic may "
                "be gone, or a broker does not answer. Nothing was changed by reading; try again"
            )


@asynccontextmanager
async def reading_topics(settings: Settings) -> AsyncIterator[TopicReader]:
    """Provide a reader that is connected inside the block. Raises BrokerUnreachable, BrokerRefused."""
    options = {
        "auto_offset_reset": "earliest",  # what retention takes away while it is read is passed over
        "isolation_level": "read_committed",  # a marker of a replay that was aborted counts for nothing
        "fetch_max_bytes": FETCH,
        "max_partition_fetch_bytes": PARTITION_FETCH,
        "fetch_max_wait_ms": 50,
    }
    async with admin_of(settings) as admin, reader_of(settings, **options) as client:
        yield TopicReader(settings, admin, client)
