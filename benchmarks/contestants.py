"""What is measured: raw aiokafka, bare coroutines, and workers of ours. Each returns messages a second."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer

from core_messaging.runtime import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker

PATIENCE = 120.0  # seconds for one round


async def _nothing(_message: Any) -> None:
    return None


async def raw(address: str, topic: str, count: int) -> float:
    """aiokafka's getmany, json.loads and one awaited call a message. Commits nothing, retries nothing."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        group_id=uuid4().hex,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    done, started = 0, 0.0
    try:
        async with asyncio.timeout(PATIENCE):
            while done < count:
                fetched = await consumer.getmany(timeout_ms=1000)
                started = started or perf_counter()
                for records in fetched.values():
                    for record in records:
                        await _nothing(json.loads(record.value))
                        done += 1
        return done / (perf_counter() - started)
    finally:
        await consumer.stop()


async def sleep_limit(count: int, slots: int, seconds: float) -> float:
    """*slots* long-lived coroutines that only sleep: what an event loop can do at most."""
    left = count

    async def sleeper() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await asyncio.sleep(seconds)

    started = perf_counter()
    await asyncio.gather(*(sleeper() for _ in range(slots)))
    return count / (perf_counter() - started)


class Finished:
    """Counts what a worker handled, and when the first and the last of it were done."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.done = 0
        self.started = self.ended = 0.0
        self.all = asyncio.Event()

    def one(self) -> None:
        if not self.done:
            self.started = perf_counter()
        self.done += 1
        if self.done == self.count:
            self.ended = perf_counter()
            self.all.set()


def noop(finished: Finished) -> Callable[..., Awaitable[None]]:
    async def process(_self: Worker, _message: dict[str, Any]) -> None:
        finished.one()

    return process


def sleeping(finished: Finished, seconds: float) -> Callable[..., Awaitable[None]]:
    async def process(_self: Worker, _message: dict[str, Any]) -> None:
        await asyncio.sleep(seconds)
        finished.one()

    return process


async def ours(
    address: str,
    topic: str,
    count: int,
    make: Callable[[Finished], Callable[..., Awaitable[None]]],
    **options: Any,
) -> float:
    """A worker with *options*, commits on, every guarantee in place. Raises unless each message ran just once."""
    finished = Finished(count)
    attributes = {"input_topic": topic, "group_id": uuid4().hex, "process": make(finished), **options}
    made = type("Bench", (Worker,), attributes)
    settings = Settings(kafka_bootstrap_servers=address)
    task = asyncio.create_task(run_workers([made], RunOptions(settings=settings, handle_signals=False)))
    waiting = asyncio.create_task(finished.all.wait())
    await asyncio.wait({task, waiting}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if finished.done != count:
        raise RuntimeError(f"{finished.done} messages were handled instead of {count}")
    return count / (finished.ended - finished.started)
