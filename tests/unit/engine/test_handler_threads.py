"""A plain ``def`` handler starts when its thread does; callbacks wait for no handler."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core_messaging.context import Context
from core_messaging.engine.handler_threads import HandlerThreads
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker

WAITING = 6  # messages; there is one thread


class Gate:
    """Handlers stand in it until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = list[int]()
        self.left = list[float]()

    def enter(self, number: int) -> None:
        self.begun.append(number)
        if not self.open.wait(20):
            raise TimeoutError


@contextmanager
def gate() -> Iterator[Gate]:
    made = Gate()
    try:
        yield made
    finally:
        made.open.set()


def broker(count: int = WAITING) -> MemoryBroker:
    made = MemoryBroker({"in": 1, "beside": 1})
    for number in range(count):
        made.put("in", b"%d" % number, b"key-%d" % number)
    return made


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - threads set what is waited for
            await asyncio.sleep(0.005)


async def at_work(
    memory: MemoryBroker, *workers: type[Worker], test: Callable[[asyncio.Task[None]], Awaitable[None]]
) -> None:
    settings = Settings(handler_threads=1, shutdown_timeout=15, commit_interval=0.05)
    options = RunOptions(settings=settings, broker=memory, handle_signals=False)
    running = asyncio.create_task(run_workers(workers, options))
    try:
        await test(running)
    finally:
        running.cancel()
        await asyncio.wait([running])


def made(handler: Callable[..., Any], **options: Any) -> type[Worker]:
    attributes = {"input_topic": "in", "group_id": "g", "concurrency": WAITING} | options
    return type("Threaded", (Worker,), {"process": handler} | attributes)


@pytest.mark.parametrize("batches", [{}, {"batch_size": WAITING, "batch_timeout": 0.01}])
def test_at_a_stop_what_waits_for_a_thread_is_given_back(batches: dict[str, Any]) -> None:
    # All of them were still started, one after the other, and the stop took all the time it has.
    memory = broker()
    with gate() as held:

        def process(self: Worker, message: int) -> None:
            held.enter(message)

        async def test(running: asyncio.Task[None]) -> None:
            await until(lambda: held.begun)
            running.cancel()
            await asyncio.sleep(0.05)
            held.open.set()
            await asyncio.wait([running], timeout=10)
            assert running.done()

        asyncio.run(at_work(memory, made(process, **batches), test=test))
    assert len(held.begun) == 1
    assert memory.committed("g", "in")[0].offset == 1


def test_the_rest_is_handled_at_the_next_start() -> None:
    memory = broker()
    with gate() as held:

        def process(self: Worker, message: int) -> None:
            held.enter(message)

        async def stop_at_once(running: asyncio.Task[None]) -> None:
            await until(lambda: held.begun)
            running.cancel()
            await asyncio.sleep(0.05)
            held.open.set()
            await asyncio.wait([running])

        async def finish(_running: asyncio.Task[None]) -> None:
            await until(lambda: len(held.begun) == WAITING)

        asyncio.run(at_work(memory, made(process), test=stop_at_once))
        asyncio.run(at_work(memory, made(process), test=finish))
    assert sorted(held.begun) == list(range(WAITING))


def test_what_waits_for_a_thread_has_no_time_that_runs(caplog: pytest.LogCaptureFixture) -> None:
    memory, timeout = broker(), 0.3
    with gate() as held:

        def process(self: Worker, message: int, context: Context) -> None:
            assert context.deadline is not None
            held.left.append(context.deadline - time.monotonic())
            held.begun.append(message)
            held.open.wait(0.15)

        async def test(_running: asyncio.Task[None]) -> None:
            await until(lambda: len(held.begun) == WAITING)
            await until(lambda: memory.committed("g", "in")[0].offset == WAITING)

        asyncio.run(at_work(memory, made(process, timeout=timeout), test=test))
    assert all(left > 0 for left in held.left)
    assert "longer than timeout" not in caplog.text


def test_a_callback_of_another_worker_waits_for_no_handler() -> None:
    memory, told = broker(), threading.Event()
    memory.put("beside", b"1")
    with gate() as held:

        def process(self: Worker, message: int) -> None:
            held.enter(message)

        async def quick(self: Worker, message: int) -> None: ...

        def on_success(self: Worker, message: int, result: Any) -> None:
            told.set()

        beside = type(
            "Beside",
            (Worker,),
            {"input_topic": "beside", "group_id": "beside", "process": quick, "on_success": on_success},
        )

        async def test(_running: asyncio.Task[None]) -> None:
            await until(lambda: held.begun and told.is_set())
            assert len(held.begun) == 1
            held.open.set()

        asyncio.run(at_work(memory, made(process), beside, test=test))


def test_a_waiter_that_is_cancelled_loses_no_thread() -> None:
    async def test() -> None:
        threads, opened = HandlerThreads(1), threading.Event()
        first = asyncio.create_task(threads.handle(opened.wait, lambda: None))
        await asyncio.sleep(0)
        second = asyncio.create_task(threads.handle(int, lambda: None))
        await asyncio.sleep(0)
        second.cancel()
        third = asyncio.create_task(threads.handle(lambda: 3, lambda: None))
        await asyncio.sleep(0)
        opened.set()
        async with asyncio.timeout(10):
            assert await first
            assert await third == 3
            assert await threads.handle(lambda: 4, lambda: None) == 4
        threads.shutdown()

    asyncio.run(test())
