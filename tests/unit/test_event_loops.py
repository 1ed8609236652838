"""What differs between asyncio's event loop and uvloop is nothing to a worker."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import uvloop

from core_messaging.brokers.memory import MemoryBroker
from core_messaging.engine.running import clock_of
from core_messaging.runtime import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import VirtualLoop
from core_messaging.worker import Worker

MESSAGES = 50


class Flaky(Worker):
    """Fails once a message, and tries again at once."""

    input_topic = "flaky"
    concurrency = 10
    initial_delay = 0.0001  # seconds: uvloop makes no timer of less than half a millisecond
    failed: set[int]
    done: asyncio.Event

    async def process(self, message: dict[str, Any]) -> None:
        number = message["id"]
        if number not in self.failed:
            self.failed.add(number)
            raise ValueError(number)
        if len(self.failed) == MESSAGES:
            self.done.set()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_retries_that_are_due_at_once_are_made(loop_factory: Any) -> None:
    # The second of them asked the first one's alarm for its time; it had none, and the worker ended with a traceback.
    broker = MemoryBroker({"flaky": 4})
    for number in range(MESSAGES):
        broker.put("flaky", b'{"id": %d}' % number, b"key-%d" % number)
    Flaky.failed = set()

    async def test() -> None:
        Flaky.done = asyncio.Event()
        options = RunOptions(settings=Settings(), broker=broker, handle_signals=False)
        working = asyncio.create_task(run_workers([Flaky], options))
        done = asyncio.create_task(Flaky.done.wait())
        async with asyncio.timeout(30):
            await asyncio.wait({working, done}, return_when=asyncio.FIRST_COMPLETED)
        assert not working.done(), working.exception()
        working.cancel()
        await asyncio.wait([working])

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(test())
    assert sum(commit.offset for commit in broker.committed("flaky", "flaky").values()) == MESSAGES


def test_latencies_are_finer_than_the_whole_milliseconds_of_uvloop() -> None:
    # The histogram begins at half a millisecond; and on a virtual clock there is no other clock than its own.
    for loop in (asyncio.new_event_loop(), uvloop.new_event_loop()):
        assert clock_of(loop) is time.monotonic
        loop.close()
    virtual = VirtualLoop()
    assert clock_of(virtual) == virtual.time
    virtual.close()
