"""Runs workers in this process against a real broker and waits for what they do."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

from core_messaging.plugins.source import ObserverSource
from core_messaging.runtime.event_loop import punctual_loop
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker

Result = TypeVar("Result")
PATIENCE = 60.0  # seconds; a test that waits longer has found a hang


@dataclass(frozen=True)
class Stored:
    """A record as a test reads it back."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0
    offset: int = 0

    @property
    def facts(self) -> dict[str, bytes]:
        return dict(self.headers)


def run(test: Coroutine[Any, Any, Result]) -> Result:
    """The body of an async test, under a limit, on one of the loops of ``core kafka worker`` (CORE_TEST_LOOP)."""

    async def limited() -> Result:
        async with asyncio.timeout(2 * PATIENCE):
            return await test

    factory = uvloop.new_event_loop if os.environ.get("CORE_TEST_LOOP") == "uvloop" else punctual_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(limited())


def settings_for(address: str, **others: Any) -> Settings:
    fast = {"commit_interval": 0.1, "kafka_start_timeout": 10.0}
    return Settings(kafka_bootstrap_servers=address, **(fast | others))


@asynccontextmanager
async def running(
    address: str, *workers: type[Worker], plugins: ObserverSource | None = None, **others: Any
) -> AsyncIterator[asyncio.Task[None]]:
    """*workers* at work inside the block; drained (the graceful shutdown) when it ends."""
    options = RunOptions(settings=settings_for(address, **others), handle_signals=False, plugins=plugins)
    task = asyncio.create_task(run_workers(workers, options), name="workers under test")
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        else:
            task.result()


async def until(condition: Callable[[], object], task: asyncio.Task[None] | None = None) -> None:
    """Wait for *condition*; a worker that dies meanwhile is raised, not waited for."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            if task is not None and task.done():
                task.result()
                raise AssertionError("the workers stopped before the condition held")
            await asyncio.sleep(0.01)


async def publish(address: str, topic: str, records: Sequence[Any], **options: Any) -> None:
    """*records*: values, or (key, value), or (key, value, headers); in this order into one partition each key."""
    producer = AIOKafkaProducer(bootstrap_servers=address, max_request_size=4_000_000, **options)
    await producer.start()
    try:
        for record in records:
            key, value, headers = (*record, [])[:3] if isinstance(record, tuple) else (None, record, [])
            if key is None and value is None:
                batch = producer.create_batch()
                batch.append(key=None, value=None, timestamp=None, headers=headers)
                await (await producer.send_batch(batch, topic, partition=0))
            else:
                await producer.send_and_wait(topic, value, key, headers=headers)
    finally:
        await producer.stop()


async def read(address: str, topic: str, count: int) -> list[Stored]:
    """The first *count* records of *topic*, whatever the partition, in the order of arrival here."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=address, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    found: list[Stored] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [
                        Stored(r.key, r.value, tuple(r.headers), r.partition, r.offset) for r in records
                    ]
    finally:
        await consumer.stop()
    return found


async def committed(
    address: str, group: str, topic: str | None = None, partitions: int = 4
) -> dict[int, tuple[int, str]]:
    """partition -> (offset, metadata) as the broker keeps them for *group*; *topic* None: named like the group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        # The embedded broker answers only for partitions that are named.
        sources = [TopicPartition(topic or group, partition) for partition in range(partitions)]
        offsets = await _offsets(admin, group, sources)
    finally:
        await admin.close()
    return {source.partition: (o.offset, o.metadata) for source, o in offsets.items() if o.offset >= 0}


async def _offsets(admin: AIOKafkaAdminClient, group: str, partitions: list[TopicPartition]) -> Any:
    """A broker that has just started makes its topic of offsets with the first group, and has no coordinator yet; one
    that has started again reads that topic first."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await admin.list_consumer_group_offsets(group, partitions=partitions)
            except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError):
                await asyncio.sleep(0.1)


async def total_committed(address: str, group: str) -> int:
    return sum(offset for offset, _ in (await committed(address, group)).values())


async def until_committed(address: str, group: str, total: int) -> None:
    """Wait until the group's commits add up to *total* over its partitions."""
    async with asyncio.timeout(PATIENCE):
        while await total_committed(address, group) < total:  # noqa: ASYNC110 - the broker has no event for it
            await asyncio.sleep(0.05)
