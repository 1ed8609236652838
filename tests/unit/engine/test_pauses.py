"""A person pauses what a worker consumes."""

from __future__ import annotations

import asyncio

import pytest

from core_messaging.engine.engine import Engine
from core_messaging.engine.handler_threads import ProcessThreads
from core_messaging.engine.shared_resources import SharedResources
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.records import TopicPartition
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker, config_of
from tests.unit.engine.probed_worker import until


class PausedByHand:
    """What the control topic would say."""

    def __init__(self) -> None:
        self.sources = set[TopicPartition]()

    def is_paused(self, group_id: str, source: TopicPartition) -> bool:
        return group_id == "g" and source in self.sources

    def reason(self, group_id: str, source: TopicPartition) -> str:
        return "paused by hand" if self.is_paused(group_id, source) else ""


@pytest.mark.parametrize("paused", [[0], [0, 1]])
def test_a_pause_holds_at_once_also_where_a_fetch_waits_already(paused: list[int]) -> None:
    # The fetch that waited brought one more message of a partition whose pause was acknowledged.
    broker, pauses, handled = MemoryBroker({"in": 2}), PausedByHand(), list[int]()

    class Greet(Worker):
        input_topic = "in"
        group_id = "g"

        async def process(self, message: int) -> None:
            handled.append(message)

    async def test() -> None:
        settings = Settings()
        threads = ProcessThreads(settings.handler_threads)
        shared = SharedResources(
            broker=broker, publisher=broker.publisher(), settings=settings, threads=threads, pauses=pauses
        )
        engine = Engine(Greet(), config_of(Greet), shared)
        working = asyncio.create_task(engine.run())
        broker.put("in", b"1", partition=0)
        await until(lambda: handled == [1])
        await asyncio.sleep(10.25)  # in the middle of a fetch, which waits for a second
        pauses.sources.update(TopicPartition("in", number) for number in paused)
        engine.apply_pauses()
        for number in (0, 1):
            broker.put("in", b"2%d" % number, partition=number)
        await asyncio.sleep(10)
        assert handled == [1, *(20 + number for number in (0, 1) if number not in paused)]
        pauses.sources.clear()
        await until(lambda: sorted(handled) == [1, 20, 21])
        engine.request_stop()
        await working
        threads.shutdown()

    run_virtually(test())
