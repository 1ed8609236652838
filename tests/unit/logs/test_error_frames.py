"""What waits for its retry keeps what its error says, and none of the handler's locals."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core_messaging.errors import PartialBatchError
from core_messaging.logs.error_frames import without_frames
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker


class Large:
    """A local of a handler."""


MADE = weakref.WeakSet[Large]()
CALLS = list[int]()
MESSAGES = 5


def large() -> Large:
    made = Large()
    MADE.add(made)
    CALLS.append(1)
    return made


def raises(message: int) -> None:
    local = large()
    raise ValueError(f"{message} {type(local).__name__}")


def raises_from(message: int) -> None:
    local = large()
    try:
        raises(message)
    except ValueError as error:
        raise RuntimeError(type(local).__name__) from error


def raises_while_handling(message: int) -> None:
    try:
        raises(message)
    except ValueError:
        raises_from(message)


def raises_a_group(message: int) -> None:
    errors = []
    for call in (raises, raises_from):
        try:
            call(message)
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup("several", errors)


def exits(message: int) -> None:
    local = large()
    sys.exit(f"{message} {local}")


def misses_an_attribute(_message: int) -> None:
    large().missing  # type: ignore[attr-defined]  # noqa: B018


KINDS = [raises, raises_from, raises_while_handling, raises_a_group, exits, misses_an_attribute]


def plain(call: Callable[[int], None]) -> dict[str, Any]:
    def process(self: Worker, message: int) -> None:
        call(message)

    return {"process": process}


def asynchronous(call: Callable[[int], None]) -> dict[str, Any]:
    async def process(self: Worker, message: int) -> None:
        call(message)

    return {"process": process}


def one_by_one(call: Callable[[int], None]) -> dict[str, Any]:
    return asynchronous(call) | {"batch_size": MESSAGES, "batch_timeout": 0.01}


def whole(call: Callable[[int], None]) -> dict[str, Any]:
    async def process_batch(self: Worker, messages: list[int]) -> None:
        call(len(messages))

    return {"process_batch": process_batch, "batch_size": MESSAGES, "batch_timeout": 0.01}


def partly(call: Callable[[int], None]) -> dict[str, Any]:
    async def process_batch(self: Worker, messages: list[int]) -> None:
        errors = dict[int, BaseException]()
        for index, message in enumerate(messages):
            try:
                call(message)
            except BaseException as error:
                errors[index] = error
        raise PartialBatchError(errors)

    return {"process_batch": process_batch, "batch_size": MESSAGES, "batch_timeout": 0.01}


@pytest.fixture
def without_log() -> Iterator[None]:
    """What pytest captures of the log keeps the first traceback of each kind, and its frames."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("without_log")
@pytest.mark.parametrize("mode", [plain, asynchronous, one_by_one, whole, partly])
@pytest.mark.parametrize("kind", KINDS)
def test_what_waits_for_a_retry_keeps_no_local_of_its_handler(
    kind: Callable[[int], None], mode: Callable[..., dict[str, Any]]
) -> None:
    # 300 messages of nine bytes that waited took 600 MB.
    MADE.clear()
    CALLS.clear()
    broker = MemoryBroker({"in": 1})
    for number in range(MESSAGES):
        broker.put("in", b"%d" % number, b"key-%d" % number)
    attributes = {"input_topic": "in", "initial_delay": 100.0, "retry_backoff": "fixed"}
    worker = type("Fails", (Worker,), attributes | mode(kind))

    async def test() -> None:
        options = RunOptions(settings=Settings(), broker=broker, handle_signals=False)
        running = asyncio.create_task(run_workers([worker], options))
        async with asyncio.timeout(60):
            while not CALLS or MADE:  # those of a handler that runs right now are there
                await asyncio.sleep(0.2)
                gc.collect()
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(test())


def test_what_an_error_says_is_kept_and_a_circle_of_causes_ends() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__context__ = second, first
    try:
        raise first
    except ValueError as error:
        without_frames(error)
    assert (str(first), first.__cause__, first.__traceback__) == ("first", second, None)
    without_frames(None)
