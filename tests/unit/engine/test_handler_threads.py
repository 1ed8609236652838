"""A plain ``def`` handler starts when its thread does; callbacks wait for no handler."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import msgspec
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
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - threads set what is waited for
            await asyncio.sleep(0.005)


async def at_work(
    memory: MemoryBroker,
    *workers: type[Worker],
    test: Callable[[asyncio.Task[None]], Awaitable[None]],
    threads: int | None = 1,
) -> None:
    settings = Settings(handler_threads=threads, shutdown_timeout=15, commit_interval=0.05)
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
    count, timeout = 12, 1.0  # together they take longer than one may
    memory = broker(count)
    with gate() as held:

        def process(self: Worker, message: int, context: Context) -> None:
            assert context.deadline is not None
            held.left.append(context.deadline - time.monotonic())
            held.begun.append(message)
            held.open.wait(0.1)

        async def test(_running: asyncio.Task[None]) -> None:
            await until(lambda: len(held.begun) == count)
            await until(lambda: memory.committed("g", "in")[0].offset == count)

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
        async with asyncio.timeout(60):
            assert await first
            assert await third == 3
            assert await threads.handle(lambda: 4, lambda: None) == 4
        threads.shutdown()

    asyncio.run(test())


class Counted:
    """Counts how many are inside at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.left = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        yield
        with self.lock:
            self.inside -= 1
            self.left += 1


def handled(memory: MemoryBroker, worker: type[Worker], count: int) -> None:
    """Run *worker*, with as many threads as it asks for, until *count* messages of ``in`` are committed."""

    async def test(_running: asyncio.Task[None]) -> None:
        await until(lambda: (done := memory.committed("g", "in")) and done[0].offset == count)

    asyncio.run(at_work(memory, worker, test=test, threads=None))


class Decoded(msgspec.Struct, array_like=True):
    """A message that says when it is decoded."""

    number: int
    told: ClassVar[list[int]] = []

    def __post_init__(self) -> None:
        self.told.append(self.number)


def test_a_free_thread_has_its_next_message_at_hand() -> None:
    # The event loop gave each thread its next message, and the thread was idle for most of a handler of 1 ms.
    memory = broker(0)
    for number in range(4):
        memory.put("in", b"[%d]" % number, b"key-%d" % number)
    Decoded.told.clear()
    with gate() as held:

        def process(self: Worker, message: Decoded) -> None:
            held.enter(message.number)

        async def test(_running: asyncio.Task[None]) -> None:
            await until(lambda: len(held.begun) == 2 and len(Decoded.told) == 4)
            held.open.set()
            stand_still_until(lambda: len(held.begun) == 4)

        process.__annotations__["message"] = Decoded
        asyncio.run(at_work(memory, made(process, concurrency=2), test=test, threads=None))


def stand_still_until(condition: Callable[[], bool]) -> None:
    """Wait without the event loop."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_no_more_handlers_run_at_a_time_than_concurrency_says() -> None:
    memory, counted = broker(40), Counted()

    def process(self: Worker, message: int) -> None:
        with counted.one():
            time.sleep(0.001)

    handled(memory, made(process, concurrency=3), 40)
    assert counted.left == 40
    assert counted.most <= 3


def test_no_more_hidden_coroutines_run_at_a_time_than_concurrency_says() -> None:
    memory, counted = broker(40), Counted()

    async def hidden() -> None:
        with counted.one():
            await asyncio.sleep(0.001)

    def process(self: Worker, message: int) -> Any:
        return hidden()

    handled(memory, made(process, concurrency=3), 40)
    assert counted.left == 40
    assert counted.most <= 3


def test_as_many_handlers_run_at_a_time_as_concurrency_says() -> None:
    memory, together = broker(40), threading.Barrier(40)

    def process(self: Worker, message: int) -> None:
        together.wait(20)  # passes only if forty run at once

    handled(memory, made(process, concurrency=40), 40)
    assert not together.broken


def test_one_at_a_time_is_over_with_its_callback_before_the_next_begins() -> None:
    memory, told = broker(), list[str]()

    def process(self: Worker, message: int) -> None:
        told.append("process")

    def on_success(self: Worker, message: int, result: Any) -> None:
        told.append("on_success")

    handled(memory, made(process, concurrency=1, on_success=on_success), WAITING)
    assert told == ["process", "on_success"] * WAITING


def test_handlers_of_one_worker_do_not_wait_for_those_of_another() -> None:
    memory, told = broker(), threading.Event()
    memory.put("beside", b"1")
    with gate() as held:

        def process(self: Worker, message: int) -> None:
            held.enter(message)

        def quick(self: Worker, message: int) -> None:
            told.set()

        beside = made(quick, input_topic="beside", group_id="beside")

        async def test(_running: asyncio.Task[None]) -> None:
            await until(lambda: len(held.begun) == WAITING and told.is_set())
            held.open.set()

        asyncio.run(at_work(memory, made(process), beside, test=test, threads=None))


SEEN = ContextVar("SEEN", default="nothing")


def test_a_handler_in_a_thread_sees_the_variables_of_setup_and_leaves_none() -> None:
    memory, seen = broker(), list[str]()

    def setup(self: Worker) -> None:
        SEEN.set("setup")

    def process(self: Worker, message: int) -> None:
        seen.append(SEEN.get())
        SEEN.set(f"message {message}")

    handled(memory, made(process, setup=setup, concurrency=2), WAITING)
    assert seen == ["setup"] * WAITING
