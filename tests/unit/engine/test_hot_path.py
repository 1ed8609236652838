"""No task, future, job or log record is made for a message on the fast path: counted, not timed."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import core_messaging
from core_messaging import hookimpl
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.rules import message_schedule, streak
from core_messaging.rules.job import Job
from core_messaging.rules.message_schedule import AHEAD
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.snapshot import Condition, Snapshot
from core_messaging.testing import run_virtually
from core_messaging.worker import Worker

MESSAGES = 5_000
PACKAGE = str(Path(core_messaging.__file__).parent)


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


class Waiting(Noop):
    """Lets the event loop go round for each message."""

    group_id = "noop"

    async def process(self, message: dict) -> None:  # type: ignore[type-arg]
        await asyncio.sleep(0)
        await super().process(message)


async def work(
    broker: MemoryBroker, messages: int, plugins: Plugins | None = None, handler: type[Noop] = Noop
) -> None:
    """All *messages* of the topic ``hot``."""
    Noop.messages, Noop.done = messages, asyncio.Event()
    options = RunOptions(settings=Settings(), broker=broker, plugins=plugins, handle_signals=False)
    task = asyncio.create_task(run_workers([handler], options))
    async with asyncio.timeout(60):
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


def calls_of_ours(handler: type[Noop]) -> set[str]:
    """The functions of the package that are called for each message.

    What is done for a fetch, for a turn of the loop, or at the start and the end, is far less.
    """
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and PACKAGE in frame.f_code.co_filename:
            calls[frame.f_code.co_name] += 1

    broker = MemoryBroker({"hot": 4})
    for number in range(MESSAGES):
        broker.put("hot", b'{"id": 1}', b"key-%d" % (number % 100))
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        asyncio.run(work(broker, MESSAGES, handler=handler))
    finally:
        sys.setprofile(before)
    return {name for name, number in calls.items() if number > MESSAGES // 5}


@pytest.fixture
def jobs_made(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that are made for messages."""
    made: list[Job] = []

    def job(*facts: Any) -> Job:
        made.append(Job(*facts))
        return made[-1]

    for module in (message_schedule, streak):
        monkeypatch.setattr(module, "Job", job)
    return made


def test_a_message_whose_handler_does_not_wait_costs_no_call_of_ours_and_no_job(jobs_made: list[Job]) -> None:
    # Counted in functions of the package, so that neither the machine nor a library can change it. It was ten.
    assert calls_of_ours(Noop) == set()
    # A partition without fresh messages leaves its turn by way of ``take``, which gives the next message a job.
    assert len(jobs_made) < MESSAGES // 100


def test_a_message_whose_handler_waits_has_one_job(jobs_made: list[Job]) -> None:
    assert {"take", "_finish", "finish"} < calls_of_ours(Waiting)
    assert len(jobs_made) == MESSAGES


class Slow(Worker):
    """Keeps its only slot until the test is over."""

    input_topic = "hot"

    async def process(self, message: dict) -> None:  # type: ignore[type-arg]
        await asyncio.sleep(3600)


def test_no_more_is_fetched_than_is_wanted_soon() -> None:
    # 10,000 messages were fetched ahead, in fetches of thousands: parsed in one go, while every handler that was
    # ready to go on had to wait, and gone cold by the time they were processed.
    broker = MemoryBroker({"hot": 1})
    for _ in range(MESSAGES):
        broker.put("hot", b"{}")

    seen: list[Snapshot] = []

    class Seeing:
        @hookimpl
        def metrics(self, snapshot: Snapshot) -> None:
            seen.append(snapshot)

    async def test() -> None:
        plugins = Plugins([PluginReport("seeing", "test", plugin=Seeing())], Settings())
        settings = Settings(metrics_interval=60)
        options = RunOptions(settings=settings, broker=broker, plugins=plugins, handle_signals=False)
        task = asyncio.create_task(run_workers([Slow], options))
        await asyncio.sleep(200)  # of the virtual clock
        task.cancel()
        await asyncio.wait([task])

    run_virtually(test())
    worker = seen[2].workers[0]
    assert 0 < worker.in_flight <= 2 * AHEAD
    # Minutes without a fetch, on purpose: nothing is stuck.
    assert worker.condition is Condition.RUNNING
