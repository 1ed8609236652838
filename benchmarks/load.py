"""Fills topics with messages of 160 bytes, at once or at a rate, and measures how topics fill."""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.task import KEYS

SIZE = 160


def key(number: int) -> bytes:
    return b"key-%d" % (number % KEYS)


def body(number: int, size: int = SIZE) -> bytes:
    """Make a JSON object of *size* bytes."""
    fields = {"id": number, "type": "process", "data": ""}
    fields["data"] = "x" * (size - len(json.dumps(fields)))
    return json.dumps(fields).encode()


def stamped(number: int) -> bytes:
    """Make a JSON object with the time at which it is made."""
    return json.dumps({"id": number, "at": perf_counter(), "data": "x" * 100}).encode()


async def make_topic(address: str, partitions: int) -> str:
    """Create a topic and return its name."""
    topic = f"bench-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()
    return topic


async def fill(address: str, count: int, partitions: int, busy: int = 0, size: int = SIZE) -> str:
    """Create a topic with *count* messages of *size* bytes and 1,000 keys in *busy* partitions (0: all). Returns its name."""
    topic = await make_topic(address, partitions)

    def place(number: int) -> int | None:
        return number % KEYS % busy if busy else None  # None: by the hash of the key

    async with AIOKafkaProducer(bootstrap_servers=address, linger_ms=5, max_batch_size=131_072) as producer:
        for start in range(0, count, 2_000):
            numbers = range(start, min(count, start + 2_000))
            sent = [await producer.send(topic, body(n, size), key(n), place(n)) for n in numbers]
            await asyncio.gather(*sent)
    return topic


async def pace(address: str, topic: str, count: int, rate: int) -> None:
    """Send *count* messages with a time stamp to *topic*, *rate* per second, without waiting for answers."""
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        started = perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, started + number / rate - perf_counter()))
            await producer.send(topic, stamped(number), key(number))


async def stored(consumer: AIOKafkaConsumer, topic: str) -> int:
    """Count the messages in *topic*."""
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    return sum((await consumer.end_offsets(partitions)).values()) if partitions else 0


async def watch(address: str, topic: str, count: int) -> None:
    """Print the time at which *topic* held *count* messages, then how many it holds a little later."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="latest") as consumer:
        while await stored(consumer, topic) < count:  # noqa: ASYNC110 - the broker calls nobody back
            await asyncio.sleep(0.01)
        print(perf_counter(), flush=True)
        await asyncio.sleep(0.2)
        print(await stored(consumer, topic), flush=True)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    to, name, many, *fast = rest
    asyncio.run(pace(to, name, int(many), int(fast[0])) if what == "pace" else watch(to, name, int(many)))
