"""Sends batches through one idempotent producer of aiokafka, and replaces the producer when a batch has failed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sized
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from core_messaging.errors import BrokerError, ConfigurationError
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.client_lifecycle import connect, stop
from core_messaging.kafka.request_pacing import RequestPacer
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.settings import Settings


@dataclass(eq=False, slots=True)
class _Producer:
    client: Any
    users: int = 0  # calls that use it at the moment
    failed: bool = False


class _QuietProducer(aiokafka.AIOKafkaProducer):  # type: ignore[misc] # the client has no types
    """A producer without aiokafka's warning that it was not closed: this library warns, and says where it was made."""

    def __del__(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partitions of one topic: ``count`` of them; ``available`` are the numbers of those that have a leader."""

    count: int
    available: tuple[int, ...]


class ProducerPool:
    """One idempotent producer at a time.

    A batch that failed has used its sequence numbers. For as long as the producer id lives, the broker refuses every later
    batch of this partition (OutOfOrderSequenceNumber), however often it is sent. So a producer with a failed batch is
    replaced. Batches under way to other partitions finish with the old producer. Each partition has one batch under way at
    a time, so its order is kept.

    ``known_partitions``: the partitions of each topic, as far as they are known at the moment.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._current: _Producer | None = None
        self._replacing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()
        self.known_partitions: dict[str, Partitions] = {}  # by topic
        self._pacers: defaultdict[int | None, RequestPacer] = defaultdict(RequestPacer)  # by broker

    async def start(self) -> None:
        """Connect. Raises BrokerUnreachable, BrokerRefused, ConfigurationError."""
        self._current = _Producer(await connect(self._settings, self._make))

    def _make(self) -> Any:
        settings = self._settings
        return _QuietProducer(
            enable_idempotence=True,
            acks="all",
            max_request_size=settings.kafka_max_request_size,
            compression_type=settings.kafka_compression,
            max_batch_size=min(settings.kafka_batch_size, settings.kafka_max_request_size),
            **client_options(settings, settings.kafka_client_id),
        )

    def turn_of(self, target: TopicPartition, records: Sized) -> AbstractAsyncContextManager[None]:
        """Wait until a batch of *records* may be sent to the broker that leads *target*; see ``RequestPacer.turn``."""
        leader = self._in_use().client.client.cluster.leader_for_partition(target)
        return self._pacers[leader].turn(records)

    def new_batch(self, *, compressed: bool = False) -> Any:
        """Return a new BatchBuilder of the client. *compressed*: use gzip, whatever ``kafka_compression`` says."""
        if compressed:
            return BatchBuilder(self._settings.kafka_batch_size, DefaultRecordBatch.CODEC_GZIP)
        return self._in_use().client.create_batch()

    def exceeds_a_request(self, record: Outgoing) -> bool:
        """Whether the value of *record* has more bytes than ``kafka_max_request_size``."""
        return len(record.value or b"") > self._settings.kafka_max_request_size

    async def send(self, batch: Any, target: TopicPartition) -> int:
        """Send *batch* and wait until it is stored; return the offset of its first record.

        The offset is negative where the broker has stored this batch before and no longer knows where.

        Raises KafkaError, BrokerError.
        """
        async with self._using() as current:
            answer = await current.client.send_batch(batch, target.topic, partition=target.partition)
            try:
                stored = await answer
            except Exception:
                current.failed = True
                self.known_partitions.pop(target.topic, None)
                raise
            self._update_partitions(current.client, target.topic)
            return int(stored.offset)

    async def partitions_of(self, topic: str) -> Partitions:
        """Return the partitions of *topic*; ask the broker where they are not known, for ``kafka_request_timeout`` seconds.

        Raises KafkaError where the topic does not exist after that time.
        """
        known = self.known_partitions.get(topic)
        if known is not None:
            return known
        async with self._using() as current:
            try:
                # Where the client is closed meanwhile, this call would wait for ever.
                async with asyncio.timeout(self._settings.kafka_request_timeout):
                    await current.client.partitions_for(topic)
            except TimeoutError as error:
                seconds = self._settings.kafka_request_timeout
                raise kafka_errors.KafkaTimeoutError(
                    f"the brokers named no partition of it within {seconds:g} s; if there is no such topic, create it first"
                ) from error
            self._update_partitions(current.client, topic)
        if topic not in self.known_partitions:
            raise kafka_errors.UnknownTopicOrPartitionError(topic)
        return self.known_partitions[topic]

    def _update_partitions(self, client: Any, topic: str) -> None:
        """Note what the client knows now: *topic* may have more partitions, or may be unknown for the moment."""
        cluster = client.client.cluster
        every = cluster.partitions_for_topic(topic)
        if every:
            available = cluster.available_partitions_for_topic(topic) or every
            self.known_partitions[topic] = Partitions(len(every), tuple(available))
        else:
            self.known_partitions.pop(topic, None)

    @asynccontextmanager
    async def _using(self) -> AsyncIterator[_Producer]:
        """Provide the producer; it is not stopped before the block ends."""
        current = await self._working_producer()
        current.users += 1
        try:
            yield current
        finally:
            current.users -= 1
            self._stop_if_unused(current)

    def _in_use(self) -> _Producer:
        if self._current is None:
            raise kafka_errors.ProducerClosed
        return self._current

    async def _working_producer(self) -> _Producer:
        """Return the producer, or a new one in its place if a batch of it has failed."""
        if not self._in_use().failed:
            return self._in_use()
        async with self._replacing:
            old = self._in_use()
            if old.failed:
                new = _Producer(await self._reconnect())
                if self._current is None:  # closed meanwhile
                    await stop(new.client)
                self._in_use()
                self._current = new
                self._stop_if_unused(old)
        return self._in_use()

    async def _reconnect(self) -> Any:
        try:
            return await connect(self._settings, self._make)
        # The settings worked at the start. They may fail for a while: for example, certificates are being replaced.
        except ConfigurationError as error:
            raise BrokerError(f"{error}; the connection is tried again") from error

    def _stop_if_unused(self, producer: _Producer) -> None:
        if producer is not self._current and not producer.users:
            task = asyncio.create_task(stop(producer.client), name="stop a replaced producer")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def close(self, seconds: float) -> None:
        """Disconnect within *seconds*."""
        current, self._current = self._current, None
        if current is not None:
            await stop(current.client, seconds)
        if self._stopping:
            await asyncio.wait(self._stopping)
