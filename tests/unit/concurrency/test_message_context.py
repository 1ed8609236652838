"""What a message leaves in context variables is not there for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from core_messaging.concurrency.message_context import within
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker

SEEN: ContextVar[str] = ContextVar("SEEN", default="nothing")
OF_SETUP: ContextVar[str] = ContextVar("OF_SETUP", default="nothing")
MESSAGES = 8


class Uncomparable:
    """As an array is."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth of this is ambiguous")

    __hash__ = None  # type: ignore[assignment]


async def setup(self: Worker) -> None:
    OF_SETUP.set("something")


async def process(self: Any, message: int) -> None:
    self.found.append((SEEN.get(), OF_SETUP.get()))
    SEEN.set(f"message {message}")
    await asyncio.sleep(0)
    assert SEEN.get() == f"message {message}"


async def process_at_once(self: Any, message: int) -> None:
    self.found.append((SEEN.get(), OF_SETUP.get()))
    SEEN.set(f"message {message}")


async def process_failing(self: Any, message: int) -> None:
    await process(self, message)
    raise ValueError


async def replaces(self: Any, message: int) -> None:
    self.found.append((SEEN.get(), OF_SETUP.get()))
    OF_SETUP.set(Uncomparable())  # type: ignore[arg-type]


async def process_batch(self: Any, messages: list[int]) -> None:
    await process(self, messages[0])


async def on_success(self: Any, message: int, result: Any) -> None:
    await process(self, message)


async def nothing(self: Any, message: int) -> None: ...


MODES: dict[str, dict[str, Any]] = {
    "async": {"process": process},
    "without an await": {"process": process_at_once},
    "failing": {"process": process_failing, "max_retries": 0},
    "uncomparable": {"process": replaces},
    "batch": {"process_batch": process_batch, "batch_size": 2, "batch_timeout": 0.01},
    "one by one": {"process": process, "batch_size": 4, "batch_timeout": 0.01, "ordering": "partition"},
    "callback": {"process": nothing, "on_success": on_success},
    "error callback": {
        "process": process_failing,
        "max_retries": 0,
        "dlq_topic": "out",
        "on_error": on_success,
    },
}


@pytest.mark.parametrize("mode", MODES)
def test_no_message_sees_what_another_one_has_set(mode: str) -> None:
    found = list[tuple[str, str]]()
    attributes = {"input_topic": "in", "group_id": "g", "found": found, "setup": setup} | MODES[mode]
    worker = type("Sets", (Worker,), attributes)
    broker = MemoryBroker({"in": 1, "out": 1})
    for number in range(MESSAGES):
        broker.put("in", b"%d" % number)

    async def test() -> None:
        options = RunOptions(settings=Settings(commit_interval=0.01), broker=broker, handle_signals=False)
        running = asyncio.create_task(run_workers([worker], options))
        await until(lambda: 0 in (done := broker.committed("g", "in")) and done[0].offset == MESSAGES)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(test())
    own = {(f"message {number}", "something") for number in range(MESSAGES)}
    expected = {("nothing", "something")} | (own if mode == "error callback" else set())
    assert set(found) <= expected
    assert len(found) >= MESSAGES / 2


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the broker has no event for it
            await asyncio.sleep(0.01)


def test_a_coroutine_in_a_context_of_its_own_returns_raises_waits_and_is_cancelled() -> None:
    async def inner(seconds: float) -> str:
        SEEN.set("inside")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            return "cancelled"
        raise LookupError(SEEN.get())

    async def test() -> None:
        with pytest.raises(LookupError, match="inside"):
            await within(copy_context(), inner(0))
        assert SEEN.get() == "nothing"
        task = asyncio.ensure_future(_awaited(within(copy_context(), inner(60))))
        await asyncio.sleep(0)
        task.cancel()
        assert await task == "cancelled"

    asyncio.run(test())


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
