"""Records to real Kafka, acknowledged by all in-sync replicas."""

from __future__ import annotations

import asyncio
import random

from aiokafka import errors as kafka_errors
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from core_messaging.kafka.accumulator import Outbox, PendingRecord
from core_messaging.kafka.client_lifecycle import STOP
from core_messaging.kafka.errors import UNWRITABLE, as_publish_error
from core_messaging.kafka.producer_pool import KafkaClients
from core_messaging.partitioner import partition_of
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.settings import Settings

_LEAST = 0.5  # seconds the client has to disconnect where a flush in vain took all the time

_size_of = DefaultRecordBatchBuilder.estimate_size_in_bytes


class KafkaPublisher:
    """An outbox a partition, one producer id for all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients = KafkaClients(settings)
        self._outboxes: dict[tuple[str, int], Outbox] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    async def start(self) -> None:
        """Raises BrokerUnreachable, BrokerRefused."""
        await self._clients.start()

    async def publish(self, record: Outgoing) -> PendingRecord:
        """Records of one partition are stored in the order of these calls. Only calls that wait together to hear of the
        topic, at first or after a failure, may overtake one another."""
        try:
            self._check_size(record)
            partition = record.partition
            if partition is None:
                partition = await self._partition_for(record)
            outbox = self._outboxes.get((record.topic, partition))
            return (outbox or self._open(record.topic, partition)).put(record)
        except (kafka_errors.KafkaError, AssertionError, *UNWRITABLE) as error:
            raise as_publish_error(record.topic, error) from error

    def _check_size(self, record: Outgoing) -> None:
        if record.forwarded:  # a broker has taken it before; this one may too, and only it knows
            return
        size = _size_of(record.key, record.value, list(record.headers))
        limit = self._settings.kafka_max_request_size
        if size > limit:
            raise kafka_errors.MessageSizeTooLargeError(f"{size} bytes are more than {limit}")

    async def _partition_for(self, record: Outgoing) -> int:
        partitions = await self._clients.partitions_of(record.topic)
        if record.key is None:
            return random.choice(partitions.available)  # noqa: S311 - to spread them, no secret
        return partition_of(record.key, partitions.count)

    def _open(self, topic: str, partition: int) -> Outbox:
        if self._closed:
            raise kafka_errors.ProducerClosed
        target = TopicPartition(topic, partition)
        outbox = Outbox(target, self._clients, self._settings.kafka_linger)
        self._outboxes[target] = outbox
        self._tasks.append(asyncio.create_task(outbox.run(), name=f"outbox of {target}"))
        return outbox

    async def close(self) -> None:
        """Send what is gathered, bounded in time, and disconnect. Safe to repeat."""
        self._closed = True
        outboxes, self._outboxes = list(self._outboxes.values()), {}
        tasks, self._tasks = self._tasks, []
        clock = asyncio.get_running_loop().time
        deadline = clock() + STOP
        try:
            await _flush(outboxes, STOP)
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            for outbox in outboxes:
                outbox.give_up()  # also of one that never began
            await self._clients.close(max(_LEAST, deadline - clock()))


async def _flush(outboxes: list[Outbox], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            for outbox in outboxes:
                await outbox.idle.wait()
    except TimeoutError:
        return  # whoever waits hears that it was not acknowledged
