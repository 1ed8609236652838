"""Reads the dead-letter queue with a plain Kafka client, not with the code that wrote it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from demo.books import DeadLetter


class Letters:
    """The records of the topic so far. ``found`` grows with each ``read``."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.found: list[DeadLetter] = []

    async def read(self, seconds: float) -> None:
        """Read the new records. Waits at most *seconds* for the first one."""
        for records in (await self._consumer.getmany(timeout_ms=int(seconds * 1000))).values():
            self.found += [_letter(record) for record in records]


@asynccontextmanager
async def letters(address: str, topic: str) -> AsyncIterator[Letters]:
    # Without a group, because nothing is committed, and a group of the embedded broker has one member only.
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield Letters(consumer)
    finally:
        await consumer.stop()


def _letter(record: ConsumerRecord[bytes, bytes]) -> DeadLetter:
    headers = dict(record.headers)
    return DeadLetter(
        key=record.key.decode() if record.key else None,
        value=record.value or b"",
        error=headers.get("core-error-type", b"").decode(),
        attempts=int(headers.get("core-attempts", b"0")),
    )
