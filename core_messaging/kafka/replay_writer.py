"""Publishes what a replay moves, together with the markers that say so: in one transaction where the cluster can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import aiokafka
from aiokafka import errors as kafka_errors
from aiokafka.admin import NewTopic

from core_messaging.errors import BrokerError, CoreMessagingError, RecordRefused, ReplayDenied, ReplayFenced
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.client_lifecycle import admin_of, connect, stop
from core_messaging.kafka.errors import UNWRITABLE, as_broker_error, as_publish_error, describe
from core_messaging.kafka.publisher import KafkaPublisher
from core_messaging.kafka.topic_creation import create_topics
from core_messaging.kafka.topic_lookup import look_up_topics
from core_messaging.records import Outgoing
from core_messaging.settings import Settings

TRANSACTION = 60_000  # milliseconds that an unfinished one may stay open; the next replay ends it before
LARGEST = 1 << 30  # bytes; the broker decides what is too large, because it has taken the record before

_FENCED = (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch)
# The client's, where it is asked to abort a transaction that it has given up already.
_NO_TRANSACTION = (AssertionError, ValueError)
_DENIED = (
    kafka_errors.TransactionalIdAuthorizationFailed,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
)


class RecordNotTaken(Exception):
    """A topic does not take the record at *index* of what was written, or another one that was sent together with it."""

    def __init__(self, index: int, cause: RecordRefused) -> None:
        super().__init__(str(cause))
        self.index, self.cause = index, cause


class ReplayWriter(Protocol):
    """Stores letters and their markers."""

    @property
    def is_atomic(self) -> bool:
        """Whether letters and their markers are stored together or not at all."""
        ...

    async def write(self, letters: Sequence[Outgoing], markers: Sequence[Outgoing]) -> None:
        """Store all of it. Raises BrokerError, RecordNotTaken; then nothing of it is stored, where it is atomic."""
        ...


def transactional_id(queue: str) -> str:
    """Fixed for each queue: whoever begins last is the only one that may write."""
    return f"core-dlq-{queue}"


class TransactionalWriter:
    """One transaction for each call of ``write``."""

    is_atomic = True

    def __init__(self, settings: Settings, queue: str, producer: Any) -> None:
        self._settings = settings
        self._queue = queue
        self._producer = producer

    async def write(self, letters: Sequence[Outgoing], markers: Sequence[Outgoing]) -> None:
        """Store all of it in one transaction, or nothing. Raises BrokerError, RecordNotTaken.

        After RecordNotTaken the writer cannot be used any more: the batch that was refused has used up its sequence numbers.
        """
        try:
            await self._producer.begin_transaction()
            await self._send([*letters, *markers])
            await self._producer.commit_transaction()
        except (BrokerError, RecordNotTaken, kafka_errors.KafkaError, *UNWRITABLE) as error:
            await self._abort()
            raise self._named(error) from error

    async def _send(self, records: Sequence[Outgoing]) -> None:
        answers = []
        for record in records:
            answer = await self._sent(record)
            answer.add_done_callback(_looked_at)
            answers.append(answer)
        await asyncio.wait(answers)
        failures = {index: error for index, answer in enumerate(answers) if (error := answer.exception())}
        for index, error in failures.items():
            refused = as_publish_error(records[index].topic, error, forwarded=True)
            if isinstance(refused, RecordRefused):
                raise RecordNotTaken(index, refused) from error
        for error in failures.values():
            raise error

    async def _sent(self, record: Outgoing) -> asyncio.Future[Any]:
        headers, partition = list(record.headers), record.partition
        if record.key is None and record.value is None:  # the client's send refuses it
            batch = self._producer.create_batch()
            batch.append(key=None, value=None, timestamp=None, headers=headers)
            return await self._producer.send_batch(batch, record.topic, partition=partition)  # type: ignore[no-any-return]
        return await self._producer.send(  # type: ignore[no-any-return]
            record.topic, record.value, record.key, partition, headers=headers
        )

    async def _abort(self) -> None:
        """Where that fails as well, the broker or the next replay ends the transaction."""
        with suppress(kafka_errors.KafkaError, *_NO_TRANSACTION):
            await self._producer.abort_transaction()

    def _named(self, error: Exception) -> Exception:
        if isinstance(error, CoreMessagingError | RecordNotTaken):
            return error
        if isinstance(error, _FENCED):
            return ReplayFenced(self._queue)
        if isinstance(error, _DENIED):
            return ReplayDenied(self._queue, transactional_id(self._queue), describe(error))
        return as_broker_error(error, self._settings)


class PlainWriter:
    """For a cluster without transactions: first the letters, then their markers."""

    is_atomic = False

    def __init__(self, publisher: KafkaPublisher) -> None:
        self._publisher = publisher

    async def write(self, letters: Sequence[Outgoing], markers: Sequence[Outgoing]) -> None:
        """Store the letters, then the markers. Raises BrokerError, RecordNotTaken."""
        for records in (letters, markers):
            answers = [await self._publisher.publish(record) for record in records]
            for index, answer in enumerate(answers):
                try:
                    await answer
                except RecordRefused as error:
                    raise RecordNotTaken(index, error) from error


def _looked_at(answer: asyncio.Future[Any]) -> None:
    """Else the event loop complains of an error that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


@asynccontextmanager
async def replay_writer(
    settings: Settings, queue: str, *, batch_size: int | None = None
) -> AsyncIterator[ReplayWriter]:
    """Open inside the block. From here on whoever replays *queue* elsewhere is fenced, and its transaction is ended.

    *batch_size*: bytes, ``kafka_batch_size`` without it; with 1 each record is sent alone.
    """
    if await _is_embedded(settings):
        publisher = KafkaPublisher(settings)
        await publisher.start()
        try:
            yield PlainWriter(publisher)
        finally:
            await publisher.close()
        return
    producer = await _producer(settings, queue, batch_size or settings.kafka_batch_size)
    try:
        yield TransactionalWriter(settings, queue, producer)
    finally:
        await stop(producer)


async def _is_embedded(settings: Settings) -> bool:
    """The embedded broker takes transactions and then hands out records that no client can read."""
    async with admin_of(settings) as admin:
        return (await look_up_topics(admin, [])).cluster.is_embedded


async def _producer(settings: Settings, queue: str, batch_size: int) -> Any:
    def make() -> Any:
        return aiokafka.AIOKafkaProducer(
            transactional_id=transactional_id(queue),
            transaction_timeout_ms=TRANSACTION,
            max_request_size=LARGEST,
            max_batch_size=batch_size,
            compression_type=settings.kafka_compression,
            **client_options(settings, settings.kafka_client_id),
        )

    try:
        return await connect(settings, make)
    except BrokerError as error:
        if isinstance(error.__cause__, _DENIED):
            raise ReplayDenied(queue, transactional_id(queue), describe(error.__cause__)) from error
        raise


async def make_compacted(settings: Settings, topic: str, beside: str) -> bool:
    """Make *topic*, of one partition, with as many replicas as *beside* has.

    False: it is there, or the cluster makes topics itself. Raises BrokerError where the cluster refuses.
    """
    async with admin_of(settings) as admin:
        try:
            found = await look_up_topics(admin, [topic, beside])
            if found.cluster.is_embedded or topic in found.partitions:
                return False
            configs = {"cleanup.policy": "compact"}
            new = NewTopic(topic, 1, found.replicas.get(beside, 1), topic_configs=configs)
            refused = await create_topics(admin, [new])
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, settings) from error
    if refused:
        raise BrokerError(
            f"topic {topic}, which remembers what is replayed and dropped, was not created: {refused[topic]}. Nothing was "
            "replayed; create it with one partition and cleanup.policy=compact"
        )
    return True
