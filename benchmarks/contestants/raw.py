"""aiokafka by hand: what a careful person writes in an afternoon, and the limit of the client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.contestants.handlers import coroutine, typed
from benchmarks.load import body, key
from benchmarks.tally import Tally
from benchmarks.task import Entry, Task


@asynccontextmanager
async def _consumer(task: Task) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        task.topic,
        bootstrap_servers=task.address,
        group_id=uuid4().hex,
        auto_offset_reset="earliest",
        auto_commit_interval_ms=1000,
        isolation_level="read_committed",  # as this project
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def getmany(task: Task, tally: Tally) -> None:
    """getmany, json.loads and one awaited call for each message; the position is committed every second."""
    await _getmany(task, tally, json.loads)


async def getmany_msgspec(task: Task, tally: Tally) -> None:
    """As getmany, with the decoder of this project."""
    decode = msgspec.json.Decoder(Entry if task.message == "struct" else dict).decode
    await _getmany(task, tally, decode)


async def _getmany(task: Task, tally: Tally, decode: Callable[[bytes], Any]) -> None:
    handle = (typed if task.message == "struct" else coroutine)(task, tally)
    async with _consumer(task) as consumer:
        while not tally.complete.is_set():
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    await handle(decode(record.value))


async def async_for(task: Task, tally: Tally) -> None:
    """The loop of aiokafka's documentation."""
    handle = coroutine(task, tally)
    async with _consumer(task) as consumer:
        async for record in consumer:
            await handle(json.loads(record.value))
            if tally.complete.is_set():
                return


async def gathered(task: Task, tally: Tally) -> None:
    """getmany of one message for each slot, all processed at once; the next fetch follows the slowest."""
    handle = coroutine(task, tally)
    async with _consumer(task) as consumer:
        while not tally.complete.is_set():
            fetched = await consumer.getmany(timeout_ms=1000, max_records=task.slots)
            await asyncio.gather(*[handle(json.loads(r.value)) for rs in fetched.values() for r in rs])


async def batches(task: Task, tally: Tally) -> None:
    """getmany of a batch, decoded and given to one awaited call."""

    async def handle(messages: list[dict[str, Any]]) -> None:
        tally.begin()
        for message in messages:
            tally.one(message["id"])

    async with _consumer(task) as consumer:
        while not tally.complete.is_set():
            for records in (await consumer.getmany(timeout_ms=1000, max_records=task.batch)).values():
                await handle([json.loads(record.value) for record in records])


async def passing_on(task: Task, tally: Tally) -> None:
    """getmany, send each, wait for the acknowledgements, then commit."""
    handle = coroutine(task, tally)
    async with _consumer(task) as consumer, _producer(task) as producer:
        while not tally.complete.is_set():
            sent = []
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    result = await handle(json.loads(record.value))
                    sent.append(await producer.send(task.output, json.dumps(result).encode(), record.key))
            await asyncio.gather(*sent)


def _producer(task: Task) -> AIOKafkaProducer:
    # As this project: idempotent, acknowledged by all replicas, in batches of 128 KiB.
    return AIOKafkaProducer(
        bootstrap_servers=task.address, enable_idempotence=True, acks="all", max_batch_size=131_072
    )


async def send_batched(task: Task, tally: Tally) -> None:
    """send without waiting, with a thousand records under way, then wait for the acknowledgements."""
    async with _producer(task) as producer:
        tally.begin()
        for start in range(0, task.count, 1_000):
            numbers = range(start, min(task.count, start + 1_000))
            await asyncio.gather(*[await producer.send(task.output, body(n), key(n)) for n in numbers])
            for number in numbers:
                tally.one(number)
        await tally.wait()


async def send_batches(task: Task, tally: Tally) -> None:
    """Batches filled by hand and sent with send_batch, one under way for each partition: the limit of the client."""
    numbers = {partition: range(partition, task.count, 4) for partition in range(4)}

    async def send(producer: AIOKafkaProducer, partition: int) -> None:
        batch, inside = producer.create_batch(), 0
        for number in numbers[partition]:
            if batch.append(key=key(number), value=body(number), timestamp=None) is None:
                await (await producer.send_batch(batch, task.output, partition=partition))
                batch, inside = producer.create_batch(), 0
                batch.append(key=key(number), value=body(number), timestamp=None)
            inside += 1
            tally.one(number)
        if inside:
            await (await producer.send_batch(batch, task.output, partition=partition))

    async with _producer(task) as producer:
        tally.begin()
        await asyncio.gather(*(send(producer, partition) for partition in numbers))
        await tally.wait()


async def send_concurrently(task: Task, tally: Tally) -> None:
    """One task for each slot. Each waits for its own acknowledgement."""
    numbers = iter(range(task.count))
    async with _producer(task) as producer:

        async def sender() -> None:
            for number in numbers:
                await producer.send_and_wait(task.output, body(number), key(number))
                tally.one(number)

        tally.begin()
        await asyncio.gather(*(sender() for _ in range(task.slots)))
        await tally.wait()
