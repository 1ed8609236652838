"""The client that batches go through, and its successor when one of them failed."""

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
from core_messaging.kafka.request_pacing import Turn
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.settings import Settings


@dataclass(eq=False, slots=True)
class _Client:
    client: Any
    users: int = 0  # who sends or asks by it
    failed: bool = False


class _QuietProducer(aiokafka.AIOKafkaProducer):  # type: ignore[misc] # the client has no types
    """The client's, which says nothing of itself when nobody has closed it: ours says that, and where it was made."""

    def __del__(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Partitions:
    """Of one topic: how many there are, and those that have a leader."""

    count: int
    available: tuple[int, ...]


class KafkaClients:
    """Idempotent producers, one after the other.

    A batch that failed has used up its sequence numbers, and the broker refuses whatever comes next in its partition
    (OutOfOrderSequenceNumber), however often it is sent, for as long as the producer id lives. So a client with a failed
    batch is replaced. What is under way in other partitions ends with the old one; each partition has one batch under
    way at a time, so its order is kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._current: _Client | None = None
        self._changing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()
        self._partitions: dict[str, Partitions] = {}
        self._turns: defaultdict[int | None, Turn] = defaultdict(Turn)

    async def start(self) -> None:
        """Raises BrokerUnreachable, BrokerRefused."""
        self._current = _Client(await connect(self._settings, self._make))

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
        """Of the broker that leads *target*, as far as it is known."""
        leader = self._in_use().client.client.cluster.leader_for_partition(target)
        return self._turns[leader].taken(records)

    def new_batch(self, *, compressed: bool = False) -> Any:
        """The client's BatchBuilder; *compressed* whatever ``kafka_compression`` is."""
        if compressed:
            return BatchBuilder(self._settings.kafka_batch_size, DefaultRecordBatch.CODEC_GZIP)
        return self._in_use().client.create_batch()

    def exceeds_a_request(self, record: Outgoing) -> bool:
        """Whether *record* has more bytes than a request of this producer should."""
        return len(record.value or b"") > self._settings.kafka_max_request_size

    async def send(self, batch: Any, target: TopicPartition) -> int:
        """The offset of the first record of *batch*, when it is stored. Raises KafkaError, BrokerError."""
        async with self._using() as current:
            answer = await current.client.send_batch(batch, target.topic, partition=target.partition)
            try:
                stored = await answer
            except Exception:
                current.failed = True
                self._partitions.pop(target.topic, None)
                raise
            self._look_again(current.client, target.topic)
            return int(stored.offset)

    async def partitions_of(self, topic: str) -> Partitions:
        """Raises KafkaError where there is no such topic, and none comes to be while it is waited for."""
        known = self._partitions.get(topic)
        if known is not None:
            return known
        async with self._using() as current:
            try:
                # A client that is closed meanwhile would leave whoever waits here alone for ever.
                async with asyncio.timeout(self._settings.kafka_request_timeout):
                    await current.client.partitions_for(topic)
            except TimeoutError as error:
                seconds = self._settings.kafka_request_timeout
                raise kafka_errors.KafkaTimeoutError(
                    f"no partition of it was heard of within {seconds:g} s; if there is no such topic, create it first"
                ) from error
            self._look_again(current.client, topic)
        if topic not in self._partitions:
            raise kafka_errors.UnknownTopicOrPartitionError(topic)
        return self._partitions[topic]

    def _look_again(self, client: Any, topic: str) -> None:
        """What the client knows by now of *topic*; there may be more partitions, or for the moment no topic at all."""
        cluster = client.client.cluster
        every = cluster.partitions_for_topic(topic)
        if every:
            available = cluster.available_partitions_for_topic(topic) or every
            self._partitions[topic] = Partitions(len(every), tuple(available))
        else:
            self._partitions.pop(topic, None)

    @asynccontextmanager
    async def _using(self) -> AsyncIterator[_Client]:
        """The client, which is not stopped before the block ends."""
        current = await self._unfailed()
        current.users += 1
        try:
            yield current
        finally:
            current.users -= 1
            self._stop_if_done(current)

    def _in_use(self) -> _Client:
        if self._current is None:
            raise kafka_errors.ProducerClosed
        return self._current

    async def _unfailed(self) -> _Client:
        """The client, or a new one in its place."""
        if not self._in_use().failed:
            return self._in_use()
        async with self._changing:
            old = self._in_use()
            if old.failed:
                new = _Client(await self._connect_anew())
                if self._current is None:  # closed meanwhile
                    await stop(new.client)
                self._in_use()
                self._current = new
                self._stop_if_done(old)
        return self._in_use()

    async def _connect_anew(self) -> Any:
        try:
            return await connect(self._settings, self._make)
        except (
            ConfigurationError
        ) as error:  # it was right at the start: certificates that are being exchanged, say
            raise BrokerError(f"{error}; it is tried again") from error

    def _stop_if_done(self, client: _Client) -> None:
        if client is not self._current and not client.users:
            task = asyncio.create_task(stop(client.client), name="stop a replaced producer")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def close(self, seconds: float) -> None:
        """Disconnect, within *seconds*."""
        current, self._current = self._current, None
        if current is not None:
            await stop(current.client, seconds)
        if self._stopping:
            await asyncio.wait(self._stopping)
