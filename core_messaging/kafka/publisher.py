"""Publishes records to Kafka; a record counts as published when all in-sync replicas have acknowledged it."""

from __future__ import annotations

import asyncio
import random

from aiokafka import errors as kafka_errors
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from core_messaging.kafka.accumulator import Outbox, PendingRecord
from core_messaging.kafka.client_lifecycle import STOP_TIMEOUT
from core_messaging.kafka.errors import UNWRITABLE, as_publish_error
from core_messaging.kafka.producer_pool import ProducerPool
from core_messaging.partitioner import partition_of
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.settings import Settings

_MIN_STOP_TIMEOUT = 0.5  # seconds the client has to disconnect where a failed flush took all the time

OVERHEAD = 200  # bytes that a record without headers takes beside its key and value, and that its batch takes; about 90 it is

_size_of = DefaultRecordBatchBuilder.estimate_size_in_bytes


class KafkaPublisher:
    """Has one outbox for each partition, and one producer id for all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producers = ProducerPool(settings)
        self._partitions = self._producers.known_partitions
        self._surely_fits = settings.kafka_max_request_size - OVERHEAD
        self._outboxes: dict[tuple[str, int], Outbox] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    async def start(self) -> None:
        """Connect. Raises BrokerUnreachable, BrokerRefused, ConfigurationError."""
        await self._producers.start()

    async def publish(self, record: Outgoing) -> PendingRecord:
        """Put *record* into the outbox of its partition. Await the returned object for the acknowledgement.

        Records of one partition are stored in the order of these calls. There is one exception: calls that wait at the same
        time for the partitions of a topic, at first or after a failure, may overtake one another.

        Raises RecordRefused where the record can never be stored, PublishFailed where another try may work.
        """
        try:
            if record.headers or len(record.value or b"") + len(record.key or b"") > self._surely_fits:
                self._check_size(record)
            partition = record.partition
            if partition is None:
                # Not in a function: each call would be made for every record.
                known = self._partitions.get(record.topic) or await self._producers.partitions_of(
                    record.topic
                )
                if record.key is None:
                    partition = random.choice(known.available)  # noqa: S311 - spreads the records, is no secret
                else:
                    partition = partition_of(record.key, known.count)
            outbox = self._outboxes.get((record.topic, partition))
            return (outbox or self._open(record.topic, partition)).put(record)
        except (kafka_errors.KafkaError, AssertionError, *UNWRITABLE) as error:
            raise as_publish_error(record.topic, error) from error

    def _check_size(self, record: Outgoing) -> None:
        if record.forwarded:  # a broker has stored it before, so only the broker decides
            return
        size = _size_of(record.key, record.value, list(record.headers))
        limit = self._settings.kafka_max_request_size
        if size > limit:
            raise kafka_errors.MessageSizeTooLargeError(f"{size} bytes are more than {limit}")

    def _open(self, topic: str, partition: int) -> Outbox:
        if self._closed:
            raise kafka_errors.ProducerClosed
        target = TopicPartition(topic, partition)
        outbox = Outbox(target, self._producers, self._settings.kafka_linger)
        self._outboxes[target] = outbox
        self._tasks.append(asyncio.create_task(outbox.run(), name=f"outbox of {target}"))
        return outbox

    async def close(self) -> None:
        """Send the gathered records and disconnect, within about 10 seconds. Safe to repeat.

        A record that is not acknowledged in that time gets PublishFailed as its answer.
        """
        self._closed = True
        outboxes, self._outboxes = list(self._outboxes.values()), {}
        tasks, self._tasks = self._tasks, []
        clock = asyncio.get_running_loop().time
        deadline = clock() + STOP_TIMEOUT
        try:
            await _flush(outboxes, STOP_TIMEOUT)
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            for outbox in outboxes:
                outbox.give_up()  # an outbox whose task never started has records without an answer too
            await self._producers.close(max(_MIN_STOP_TIMEOUT, deadline - clock()))


async def _flush(outboxes: list[Outbox], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            for outbox in outboxes:
                await outbox.idle.wait()
    except TimeoutError:
        return  # records that are left get an error as their answer
