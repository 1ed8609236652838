"""No Kafka: the limit of an event loop, or of threads."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.contestants.handlers import compute
from benchmarks.tally import Tally
from benchmarks.task import Task


async def sleepers(task: Task, tally: Tally) -> None:
    """Run one long-lived coroutine for each slot, which only sleeps."""
    numbers = iter(range(task.count))

    async def sleeper() -> None:
        for number in numbers:
            await asyncio.sleep(task.seconds)
            tally.one(number)

    tally.begin()
    await asyncio.gather(*(sleeper() for _ in range(task.slots)))


def threads(task: Task, tally: Tally) -> None:
    """Run one thread for each slot, which only sleeps."""
    numbers = iter(range(task.count))

    def sleeper() -> None:
        for number in numbers:
            time.sleep(task.seconds)
            tally.one_of_threads(number)

    tally.begin()
    with ThreadPoolExecutor(task.slots) as pool:
        for _ in range(task.slots):
            pool.submit(sleeper)


def computing(task: Task, tally: Tally) -> None:
    """Run one process that only computes."""
    tally.begin()
    for number in range(task.count):
        compute()
        tally.one(number)
