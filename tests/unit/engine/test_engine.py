"""How a worker begins and ends: setup, work, teardown; and a consumer that is lost is replaced."""

from __future__ import annotations

import asyncio

import pytest

from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.signalled_worker import filled, made, run_until


def test_setup_comes_before_the_first_message_and_teardown_after_the_last() -> None:
    broker, seen = filled(2), list[str]()

    async def process(self: Worker, message: int) -> None:
        seen.append(f"message {message}")

    methods = {
        "setup": lambda self: seen.append("setup"),
        "teardown": lambda self: seen.append("teardown"),
    }
    asyncio.run(run_until(broker, made(process=process, **methods), lambda: len(seen) == 3))
    assert seen == ["setup", "message 0", "message 1", "teardown"]
    assert broker.committed("g", "in")[0].offset == 2


def test_a_consumer_that_is_lost_is_replaced_and_work_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    broker, seen = filled(1), list[int]()

    async def process(self: Worker, message: int) -> None:
        seen.append(message)

    async def test() -> None:
        options = RunOptions(settings=Settings(), broker=broker, handle_signals=False)
        working = asyncio.create_task(run_workers([made(process=process)], options))
        async with asyncio.timeout(600):
            while not broker.committed("g", "in"):  # noqa: ASYNC110 - on a virtual clock
                await asyncio.sleep(0.1)
            broker.fail_fetches(1)
            broker.put("in", b"1", b"key")
            while 1 not in seen:  # noqa: ASYNC110 - on a virtual clock
                await asyncio.sleep(0.1)
        working.cancel()
        await asyncio.wait([working])

    run_virtually(test())
    assert seen == [0, 1]
    assert "lost its consumer" in caplog.text
