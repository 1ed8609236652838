"""``setup`` and ``teardown`` of a worker: what they raise, and a stop while they run."""

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
        async with asyncio.timeout(60):
            await working

    asyncio.run(test())
    assert seen == ["cancelled"]
