"""No task, future or log record is made for a message on the fast path: counted, not timed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from core_messaging.brokers.memory import MemoryBroker
from core_messaging.plugins import Plugins
from core_messaging.runtime import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker

MESSAGES = 5_000


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts what is made on it."""

    made = 0

    def create_future(self) -> asyncio.Future[Any]:
        self.made += 1
        return super().create_future()

    def create_task(self, *args: Any, **options: Any) -> Any:
        self.made += 1
        return super().create_task(*args, **options)


class Noop(Worker):
    """Does nothing, so often; then it says so."""

    input_topic = "hot"
    concurrency = 8

    messages: int
    done: asyncio.Event

    def __init__(self) -> None:
        self.left = self.messages

    async def process(self, message: dict) -> None:  # type: ignore[type-arg]
        self.left -= 1
        if not self.left:
            self.done.set()


async def work(broker: MemoryBroker, messages: int, plugins: Plugins | None = None) -> None:
    """All *messages* of the topic ``hot``."""
    Noop.messages, Noop.done = messages, asyncio.Event()
    options = RunOptions(settings=Settings(), broker=broker, plugins=plugins, handle_signals=False)
    task = asyncio.create_task(run_workers([Noop], options))
    async with asyncio.timeout(30):
        await Noop.done.wait()
    task.cancel()
    await asyncio.wait([task])


def test_the_fast_path_makes_no_task_future_or_log_record_a_message(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker({"hot": 4})
    for number in range(MESSAGES):
        broker.put("hot", b'{"id": 1}', b"key-%d" % (number % 100))
    loop = CountingLoop()
    with (
        caplog.at_level(logging.DEBUG, "core_messaging"),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        runner.run(work(broker, MESSAGES))
    assert sum(commit.offset for commit in broker.committed("noop", "hot").values()) == MESSAGES
    # Start, stop, fetches and turns of the loop need some; one a message would be 5,000 more.
    assert loop.made < MESSAGES // 10
    assert len(caplog.records) < 50
