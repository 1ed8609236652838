"""No Kafka at all: what an event loop, or threads, can do at most."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.contestants.handlers import compute
from benchmarks.tally import Tally
from benchmarks.task import Task


async def sleepers(task: Task, tally: Tally) -> None:
    """As many long-lived coroutines as there are slots, that only sleep."""
    numbers = iter(range(task.count))

    async def sleeper() -> None:
        for number in numbers:
            await asyncio.sleep(task.seconds)
            tally.one(number)

    tally.begin()
    await asyncio.gather(*(sleeper() for _ in range(task.slots)))


def threads(task: Task, tally: Tally) -> None:
    """As many threads as there are slots, that only sleep."""
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
    """One process that only computes."""
    tally.begin()
    for number in range(task.count):
        compute()
        tally.one(number)
