"""How a worker begins and ends: setup, work, teardown; and a consumer that is lost is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from core_messaging.errors import (
    BrokenWorker,
)
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.signalled_worker import filled, made, run_until


async def _nothing(self: Worker, message: int) -> None: ...


def _raise(text: str) -> Callable[..., None]:
    def method(self: Worker) -> None:
        raise ConnectionError(text)

    return method


def _raising(kind: type[BaseException]) -> Callable[..., None]:
    def method(self: Worker) -> None:
        raise kind

    return method


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ({"__init__": _raise("no such host")}, "its constructor raised ConnectionError: no such host"),
        (
            {"setup": _raise("db is down"), "teardown": _raise("no pool")},
            "setup.. raised ConnectionError: db is down",
        ),
        ({"teardown": _raise("no pool")}, "teardown.. raised ConnectionError: no pool"),
        *(
            ({method: _raising(kind)}, f"{told} raised {kind.__name__}")
            for kind in (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)
            for method, told in (
                ("__init__", "constructor"),
                ("setup", "setup.."),
                ("teardown", "teardown.."),
            )
        ),
    ],
)
def test_a_worker_that_cannot_begin_or_end_is_broken_in_its_first_words(
    methods: dict[str, Any], told: str
) -> None:
    worker = made(process=_nothing, **methods)
    broker = filled(1)
    with pytest.raises(BrokenWorker, match=told):
        asyncio.run(run_until(broker, worker, lambda: broker.committed("g", "in")))


def test_a_stop_cancels_a_setup_that_is_under_way_and_nothing_is_consumed() -> None:
    begun, seen = asyncio.Event(), list[str]()

    async def setup(self: Worker) -> None:
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            seen.append("cancelled")

    async def teardown(self: Worker) -> None:
        seen.append("torn down")

    async def test() -> None:
        options = RunOptions(settings=Settings(), broker=filled(1), handle_signals=True)
        worker = made(process=_nothing, setup=setup, teardown=teardown)
        working = asyncio.create_task(run_workers([worker], options))
        await begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await working

    asyncio.run(test())
    assert seen == ["cancelled"]


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
