"""Runs one worker on the broker in memory, and ends it by a signal, as a service manager does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker

TOPICS = {"in": 1, "out": 1, "in-dlq": 1}


def filled(count: int) -> MemoryBroker:
    broker = MemoryBroker(TOPICS)
    for number in range(count):
        broker.put("in", b"%d" % number, b"key")
    return broker


def made(**attributes: Any) -> type[Worker]:
    base = {"input_topic": "in", "dlq_topic": "in-dlq", "group_id": "g", "max_retries": 0}
    return type("Made", (Worker,), base | attributes)


async def run_until(
    broker: MemoryBroker, worker: type[Worker], until: Callable[[], object], **settings: Any
) -> None:
    """*worker* at work until *until* holds; then it is asked to stop, and what that raises is raised."""
    options = RunOptions(settings=Settings(**settings), broker=broker)
    working = asyncio.create_task(run_workers([worker], options))
    async with asyncio.timeout(60):
        while not until() and not working.done():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        if not working.done():
            signal.raise_signal(signal.SIGTERM)
        await working
