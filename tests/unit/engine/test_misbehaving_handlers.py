"""What a handler may do wrong costs its message at most, never the worker; and a worker that ends, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from core_messaging.context import Context
from core_messaging.errors import (
    ConfigurationError,
    PartialBatchError,
    RetryAfter,
    ShutdownTimeout,
)
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.rules.retry import RetryPolicy
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker
from tests.unit.engine.signalled_worker import TOPICS, filled, made, run_until

LIMIT = 600.0  # seconds that nobody waits


class Unsayable(Exception):
    def __str__(self) -> str:
        raise IndexError("no text")


class Textless(Exception):
    def __str__(self) -> Any:
        return 5  # noqa: PLE0307 - that is the point


class Hasty(RetryAfter):
    def __init__(self) -> None: ...


def raising(error: BaseException) -> Callable[..., Any]:
    async def process(self: Worker, message: int) -> None:
        if message == 0:
            raise error

    return process


async def _carrying(self: Worker, message: int, context: Context) -> int:
    if message == 0:
        context.carry = 5  # type: ignore[assignment] # on purpose
    return message


async def _partial(self: Worker, messages: list[int]) -> None:
    if 0 in messages:
        raise PartialBatchError({messages.index(0): "no id"})  # type: ignore[dict-item] # on purpose


@pytest.mark.parametrize(
    "attributes",
    [
        {"process": raising(Unsayable())},
        {"process": raising(Textless())},
        {"process": raising(Hasty())},
        {"process": raising(GeneratorExit())},
        {"process": raising(asyncio.CancelledError())},
        {"process": raising(SystemExit(3))},
        {"process": _carrying, "output_topic": "out"},
        {"process_batch": _partial, "batch_size": 2, "batch_timeout": 0.1},
    ],
)
def test_what_a_handler_raises_or_writes_costs_its_message_only(attributes: dict[str, Any]) -> None:
    broker = filled(3)

    def done() -> bool:
        commits = broker.committed("g", "in")
        return bool(commits) and commits[0].offset == 3

    asyncio.run(run_until(broker, made(**attributes), done))
    assert [record.value for record in broker.records("in-dlq")] == [b"0"]
    assert done()


def test_a_policy_of_no_exceptions_is_told_where_it_is_written() -> None:
    policy = RetryPolicy(give_up_on=[KeyError], retry_on=OSError)  # type: ignore[arg-type] # people write that
    assert (policy.give_up_on, policy.retry_on) == ((KeyError,), (OSError,))
    for wrong in ("KeyError", [3], KeyError("an instance")):
        with pytest.raises(ConfigurationError, match=r"give_up_on = .* has to name classes of exceptions"):
            RetryPolicy(give_up_on=wrong)  # type: ignore[arg-type] # on purpose
    for seconds in (-1.0, float("nan")):
        with pytest.raises(ConfigurationError, match="must not be negative"):
            RetryPolicy(initial_delay=seconds)
        with pytest.raises(ValueError, match="must not be negative"):
            RetryAfter(seconds)


async def _swallow(self: Worker, message: int) -> None:
    try:
        await asyncio.sleep(LIMIT)
    except asyncio.CancelledError:
        return


async def _convert(self: Worker, message: int) -> None:
    try:
        await asyncio.sleep(LIMIT)
    except asyncio.CancelledError:
        raise ConnectionError("the pool is closed") from None


@pytest.mark.parametrize("handler", [_swallow, _convert])
@pytest.mark.parametrize("batches", [False, True])
def test_a_handler_that_makes_something_else_of_its_cancellation_holds_nothing_up(
    handler: Any, batches: bool
) -> None:
    # The shutdown waited for its runner for ever; and its work counted as done, or as failed for good.
    broker, started = filled(1), list[int]()

    async def process(self: Worker, message: int) -> Any:
        started.append(1)
        return await handler(self, message)

    async def process_batch(self: Worker, messages: list[int]) -> Any:
        started.append(1)
        return await handler(self, messages)

    attributes = {"process_batch": process_batch, "batch_size": 1} if batches else {"process": process}
    with pytest.raises(ShutdownTimeout):
        asyncio.run(run_until(broker, made(**attributes), lambda: started, shutdown_timeout=0.1))
    assert broker.records("in-dlq") == []
    assert broker.committed("g", "in")[0].offset == 0


class BreaksLater(MemoryBroker):
    """Its consumer fails in a way that nobody expects, once something runs."""

    def __init__(self, started: list[int]) -> None:
        super().__init__(TOPICS)
        self._started = started

    def consumer(self, subscription: Any) -> Any:
        consumer, started = super().consumer(subscription), self._started
        fetch = consumer.fetch

        async def fetching(limit: int, wait: float) -> Any:
            if started:
                raise KeyError("our bug")
            return await fetch(limit, 0.05)

        consumer.fetch = fetching  # type: ignore[method-assign] # on purpose
        return consumer


@pytest.mark.parametrize("handler", [_swallow, _convert])
def test_nor_does_it_where_the_worker_fails(handler: Any) -> None:
    # Its partial result was published, and its runner went on with all that had been fetched.
    started = list[int]()
    broker = BreaksLater(started)
    for number in range(100):
        broker.put("in", b"%d" % number, b"%d" % number)

    async def process(self: Worker, message: int) -> int:
        started.append(message)
        await handler(self, message)
        return message

    with pytest.raises(KeyError, match="our bug"):
        asyncio.run(
            run_until(broker, made(process=process, concurrency=1, output_topic="out"), lambda: False)
        )
    assert started == [0]
    assert broker.records("out") == broker.records("in-dlq") == []
    assert broker.committed("g", "in")[0].offset == 0


def test_a_loop_that_is_cancelled_as_a_whole_fails_no_attempt() -> None:
    broker, started = filled(1), list[int]()

    async def process(self: Worker, message: int) -> None:
        started.append(1)
        await asyncio.sleep(LIMIT)

    async def test() -> None:
        options = RunOptions(settings=Settings(shutdown_timeout=0.1), broker=broker, handle_signals=False)
        working = asyncio.create_task(run_workers([made(process=process)], options))
        while not started:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.wait([working])

    asyncio.run(test())
    assert broker.records("in-dlq") == []


def test_a_stray_cancellation_costs_an_attempt_and_no_runner() -> None:
    # The runner ended at the next CancelledError of a handler's own, and nobody noticed: the worker stood still.
    broker, seen = filled(4), list[int]()

    async def process(self: Worker, message: int) -> None:
        seen.append(message)
        if message == 1:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                raise TimeoutError from None  # and no uncancel()
        if message == 2:
            inner = asyncio.ensure_future(asyncio.sleep(1))
            inner.cancel()
            await inner

    asyncio.run(run_until(broker, made(process=process, concurrency=1), lambda: 3 in seen))
    assert seen == [0, 1, 2, 3]
    assert [record.value for record in broker.records("in-dlq")] == [b"1", b"2"]


def test_a_cancellation_between_two_messages_is_forgotten() -> None:
    broker, seen = filled(1), list[int]()

    async def process(self: Worker, message: int) -> None:
        seen.append(message)
        if message == 0:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(0.5, task.cancel)
            asyncio.get_running_loop().call_later(1.0, broker.put, "in", b"1", b"key")

    asyncio.run(run_until(broker, made(process=process, concurrency=1), lambda: 1 in seen))
    assert seen == [0, 1]
