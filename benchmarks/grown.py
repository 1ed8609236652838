"""``python -m benchmarks.grown TASK``: runs workers of some size for some seconds and prints their cost as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import msgspec

from core_messaging import hookimpl
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.runtime.event_loop import punctual_loop
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """A worker for each of *topics*. Handlers sleep *seconds*, and *period* seconds are measured, *settled* after the start."""

    address: str
    topics: Sequence[str]
    seconds: float = 0.01
    settled: float = 0.0
    period: float = 3.0


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds until all had their partitions, megabytes of memory, share of one core, messages handled."""

    startup: float
    memory: float
    cpu: float
    handled: int


class Arrivals:
    """Waits until a number of workers have been assigned partitions."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.all = asyncio.Event()

    @hookimpl
    def on_assigned(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.all.set()


def _workers(size: Size, handled: list[int]) -> list[type[Worker]]:
    async def process(_self: Worker, _message: dict[str, Any]) -> None:
        await asyncio.sleep(size.seconds)
        handled[0] += 1

    def make(number: int, topic: str) -> type[Worker]:
        attributes = {"input_topic": topic, "group_id": uuid4().hex, "concurrency": 8, "process": process}
        return type(f"Worker{number}", (Worker,), attributes)

    return [make(number, topic) for number, topic in enumerate(size.topics)]


def resident() -> float:
    """Megabytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def measure(size: Size) -> Cost:
    """Start the workers, wait until all have their partitions, and measure until the period is over."""
    started, handled, arrivals = perf_counter(), [0], Arrivals(len(size.topics))
    settings = Settings(kafka_bootstrap_servers=size.address)
    plugins = Plugins([PluginReport("arrivals", "benchmark", plugin=arrivals)], settings)
    options = RunOptions(settings=settings, handle_signals=False, plugins=plugins)
    task = asyncio.create_task(run_workers(_workers(size, handled), options))
    await arrivals.all.wait()
    startup = perf_counter() - started
    await asyncio.sleep(size.settled)
    cpu = time.process_time()
    await asyncio.sleep(size.period)
    share = (time.process_time() - cpu) / size.period
    cost = Cost(startup=startup, memory=resident(), cpu=share, handled=handled[0])
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return cost


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=punctual_loop) as runner:
        cost = runner.run(measure(msgspec.json.decode(sys.argv[1], type=Size)))
    print(msgspec.json.encode(cost).decode())
