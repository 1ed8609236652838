"""A quiet partition beside a backlog: its messages are fetched and started, whatever else waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from core_messaging.broker import Subscription
from core_messaging.engine.fetch_loop import IDLE_POLL
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.memory_broker.group import MemoryConsumer
from core_messaging.options import Ordering
from core_messaging.records import Record, TopicPartition
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.probed_worker import Looks, at_work, until

BUSY = 4  # partitions with a backlog


def started_before_the_quiet_one(**attributes: Any) -> list[str]:
    """Values in the order their handlers started, from the moment a message for the quiet topic is stored until it
    starts."""
    broker = MemoryBroker({"in": BUSY, "quiet": 1})
    for number in range(20_000):
        broker.put("in", b"busy", b"k%d" % (number % 200), partition=number % BUSY)
    started: list[str] = []

    async def process(self: Worker, message: str) -> None:
        started.append(message)
        await asyncio.sleep(0.02)

    async def test() -> list[str]:
        options = {"input_topic": ["in", "quiet"], "process": process, **attributes}
        async with at_work(broker, Looks(), **options):
            await asyncio.sleep(5)
            before = len(started)
            broker.put("quiet", b"quiet", b"q")
            await until(lambda: "quiet" in started)
        return started[before : started.index("quiet") + 1]

    return run_virtually(test())


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("ordering", ["key", "partition", "none"])
def test_a_message_that_is_not_fetched_yet_starts_within_two_rounds(slots: int, ordering: Ordering) -> None:
    started = started_before_the_quiet_one(concurrency=slots, ordering=ordering)
    assert len(started) <= max(2 * (BUSY + 1), 4 * slots)


def test_a_message_that_is_not_fetched_yet_is_in_a_batch_within_two_rounds() -> None:
    started = started_before_the_quiet_one(batch_size=10, batch_timeout=0.01)
    assert len(started) <= 2 * (BUSY + 1) * 10


def test_a_partition_that_fills_its_share_does_not_shut_out_a_quiet_one() -> None:
    # Under ordering "partition" the backlog fills all the room there is, and the room that is left is none.
    broker = MemoryBroker({"in": BUSY, "quiet": 1})
    for number in range(40_000):
        broker.put("in", b"busy", partition=number % BUSY)
    started: list[str] = []

    async def process(self: Worker, message: str) -> None:
        started.append(message)
        if message == "busy":
            await asyncio.sleep(3600)

    async def test() -> None:
        options = {"input_topic": ["in", "quiet"], "process": process, "concurrency": 8}
        async with at_work(broker, Looks(), ordering="partition", **options):
            await asyncio.sleep(30)
            broker.put("quiet", b"quiet")
            await asyncio.sleep(2)
            assert started == ["busy"] * BUSY + ["quiet"]

    run_virtually(test())


class CountingBroker(MemoryBroker):
    """Counts the fetches of its consumers."""

    fetches = 0

    def consumer(self, subscription: Subscription) -> MemoryConsumer:
        made = super().consumer(subscription)
        fetch = made.fetch

        async def counted(limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
            self.fetches += 1
            return await fetch(limit, wait)

        made.fetch = counted  # type: ignore[method-assign]
        return made


def test_a_worker_that_finds_nothing_looks_less_often_and_still_gets_its_records_at_once() -> None:
    # 200 idle workers took a quarter of a core.
    broker, took = CountingBroker({"in": 1}), []

    async def process(self: Worker, message: str) -> None:
        took.append(asyncio.get_running_loop().time())

    async def test() -> tuple[int, float]:
        async with at_work(broker, Looks(), process=process):
            await asyncio.sleep(60)
            before = broker.fetches
            await asyncio.sleep(120)
            looks, sent = broker.fetches - before, asyncio.get_running_loop().time()
            broker.put("in", b"now")
            await until(lambda: took)
            return looks, took[0] - sent

    looks, seconds = run_virtually(test())
    assert looks <= 120 / IDLE_POLL + 1
    assert seconds < 0.1
