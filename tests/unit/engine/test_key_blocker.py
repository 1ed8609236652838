"""Blocked keys of a worker with ``on_dead_letter = "follow"``: what lifts a block is read, however much waits for that."""

from __future__ import annotations

import asyncio

import pytest

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.options import OnFullRetries
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker

KEYS, BLOCKED = 200, 64


@pytest.mark.parametrize("word", [b"replay", b"clear"])
@pytest.mark.parametrize("policy", ["wait", "dead-letter"])
def test_blocks_are_lifted_though_more_waits_than_the_budget_of_retries(
    word: bytes, policy: OnFullRetries
) -> None:
    broker = MemoryBroker({"in": 1, "in-dlq": 1})
    for number in range(1_000):
        broker.put("in", b"%d" % number, b"k%d" % (number % KEYS))
    mended, handled = asyncio.Event(), list[int]()

    async def process(self: Worker, message: int) -> None:
        if not mended.is_set():
            raise ValueError("down")
        handled.append(message)

    options = {"on_dead_letter": "follow", "on_full_retries": policy, "dlq_topic": "in-dlq", "max_retries": 0}
    made = type("Following", (Worker,), {"input_topic": "in", "group_id": "g", "process": process, **options})

    async def test() -> None:
        run = RunOptions(settings=Settings(max_waiting_retries=100), broker=broker, handle_signals=False)
        working = asyncio.create_task(run_workers([made], run))
        await asyncio.sleep(60)
        mended.set()
        for key in range(BLOCKED):
            broker.put("in", b"-1", b"k%d" % key, [("core-unblock", word)])
        await asyncio.sleep(1)
        for key in range(BLOCKED):
            broker.put("in", b"5000", b"k%d" % key)
        await asyncio.sleep(60)
        assert not working.done()
        working.cancel()
        await asyncio.wait([working])

    run_virtually(test())
    assert handled.count(5_000) == BLOCKED
    assert handled.count(-1) == (BLOCKED if word == b"replay" else 0)
    # What waited for a place has one now: 64 more keys, five messages each, have gone after their first.
    assert len(broker.records("in-dlq")) == 2 * BLOCKED * 5
