"""Fills topics with messages of 160 bytes."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

KEYS = 1_000


def body(number: int) -> bytes:
    """A JSON object of 160 bytes."""
    fields = {"id": number, "type": "process", "data": ""}
    fields["data"] = "x" * (160 - len(json.dumps(fields)))
    return json.dumps(fields).encode()


async def fill(address: str, count: int, partitions: int) -> str:
    """A new topic with *count* messages of 1,000 keys; its name."""
    topic = f"bench-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=5, max_batch_size=131_072)
    await producer.start()
    try:
        for start in range(0, count, 2_000):
            sends = [
                await producer.send(topic, body(n), b"key-%d" % (n % KEYS))
                for n in range(start, min(count, start + 2_000))
            ]
            await asyncio.gather(*sends)
    finally:
        await producer.stop()
    return topic
