"""Runs one worker on a virtual clock and keeps the snapshots that a probe would see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from core_messaging import hookimpl
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.snapshot import Condition, Snapshot, WorkerSnapshot
from core_messaging.worker import Worker


class Looks:
    """What the probes would have seen."""

    def __init__(self) -> None:
        self.seen = list[WorkerSnapshot]()

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        self.seen.extend(snapshot.workers)

    @property
    def conditions(self) -> set[Condition]:
        return {worker.condition for worker in self.seen}


@asynccontextmanager
async def at_work(broker: MemoryBroker, looks: Any, **attributes: Any) -> AsyncIterator[None]:
    stuck_after = attributes.pop("stuck_after", 5.0)
    made = type("Watched", (Worker,), {"input_topic": "in", "group_id": "g", **attributes})
    plugins = Plugins([PluginReport("looks", "test", hooks=("metrics",), plugin=looks)], Settings())
    settings = Settings(metrics_interval=1.0, stuck_after=stuck_after)
    options = RunOptions(settings=settings, broker=broker, handle_signals=False, plugins=plugins)
    working = asyncio.create_task(run_workers([made], options))
    yield
    assert not working.done(), working
    working.cancel()
    await asyncio.wait([working])


async def until(condition: Any) -> None:
    async with asyncio.timeout(3600):
        while not condition():  # noqa: ASYNC110 - on a virtual clock
            await asyncio.sleep(0.5)
