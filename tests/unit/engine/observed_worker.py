"""Runs workers on a virtual clock and the broker in memory, and keeps what plugins are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.observers import Observers
from core_messaging.plugins.registrations import Registrations
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.snapshot import Snapshot, WorkerSnapshot
from core_messaging.worker import Worker

LIMIT = 3600.0  # virtual seconds


class Observed:
    """An ObserverSource: ``told`` has the name and the facts of each event, ``snapshot`` the state of the moment."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.snapshot: Callable[[], Snapshot] | None = None

    def observers(self) -> Observers:
        def keep(name: str) -> Callable[..., None]:
            return lambda **facts: self.told.append((name, facts))

        return Observers(
            on_success=keep("on_success"),
            on_error=keep("on_error"),
            on_retry=keep("on_retry"),
            on_dead_letter=keep("on_dead_letter"),
        )

    def registrations(self) -> Registrations:
        return Registrations()

    def calls(self) -> tuple[()]:
        return ()

    async def serve(self, snapshot: Callable[[], Snapshot]) -> None:
        self.snapshot = snapshot

    async def close(self) -> None: ...

    @property
    def worker(self) -> WorkerSnapshot:
        assert self.snapshot is not None
        return self.snapshot().workers[0]

    def of(self, name: str) -> list[Mapping[str, Any]]:
        return [facts for told, facts in self.told if told == name]


async def work(
    broker: MemoryBroker,
    made: type[Worker],
    until: Callable[[], object],
    observed: Observed | None = None,
    **settings: Any,
) -> Observed:
    """*made* at work until *until* holds; then it is drained, and what ended it is raised. *observed*: who is told."""
    observed = observed or Observed()
    options = RunOptions(settings=Settings(**settings), broker=broker, plugins=observed, handle_signals=False)
    working = asyncio.create_task(run_workers([made], options))
    async with asyncio.timeout(LIMIT):
        while not until() and not working.done():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    working.cancel()
    await asyncio.wait([working])
    if not working.cancelled():
        working.result()
    return observed


def settled(broker: MemoryBroker, count: int) -> Callable[[], bool]:
    """Whether the group "g" has committed *count* messages of the topic "in"."""
    return lambda: sum(commit.offset for commit in broker.committed("g", "in").values()) == count
