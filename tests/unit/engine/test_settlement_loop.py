"""What needs no handler needs no slot: it is settled while the handlers of others take all slots there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from core_messaging import PartialBatchError, Reject, hookimpl
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker

LONG = 3600.0  # seconds that the handler beside it takes


class Heard:
    """What plugins are told."""

    def __init__(self) -> None:
        self.dead_letters = 0
        self.successes = 0

    @hookimpl
    async def on_dead_letter(self) -> None:
        self.dead_letters += 1

    @hookimpl
    async def on_success(self) -> None:
        self.successes += 1


def worked_on(
    count: int, heard: Heard, before: Callable[[MemoryBroker], None] = lambda _broker: None, **attributes: Any
) -> int | None:
    """The commit's offset a minute after a worker began with *count* messages, the last of which takes an hour."""
    broker = MemoryBroker({"in": 1, "out": 1, "in-dlq": 1})
    for number in range(count):
        broker.put("in", b"long" if number == count - 1 else b"short", b"%d" % number)
    before(broker)
    options = {"input_topic": "in", "group_id": "g", "max_retries": 0, "dlq_topic": "in-dlq", **attributes}
    made = type("Settled", (Worker,), options)
    plugins = Plugins([PluginReport("heard", "test", plugin=heard)], Settings())

    async def test() -> int | None:
        run = RunOptions(settings=Settings(), broker=broker, handle_signals=False, plugins=plugins)
        working = asyncio.create_task(run_workers([made], run))
        await asyncio.sleep(60)
        assert not working.done()
        commit = broker.committed("g", "in").get(0)
        working.cancel()
        await asyncio.wait([working])
        return None if commit is None else commit.offset

    return run_virtually(test())


async def rejecting(self: Worker, message: str) -> None:
    if message == "short":
        raise Reject("no")
    await asyncio.sleep(LONG)


async def answering(self: Worker, message: str) -> str:
    if message == "long":
        await asyncio.sleep(LONG)
    return message


async def undecoded(self: Worker, message: int) -> None:
    raise AssertionError


def test_an_acknowledged_dead_letter_is_settled_beside_a_handler_that_takes_the_only_slot() -> None:
    heard = Heard()
    assert worked_on(2, heard, process=rejecting) == 1
    assert heard.dead_letters == 1


def test_an_acknowledged_result_is_settled_beside_a_handler_that_takes_the_only_slot() -> None:
    heard = Heard()
    assert worked_on(2, heard, process=answering, output_topic="out") == 1
    assert heard.successes == 1


@pytest.mark.parametrize("topic", ["in-dlq", "out"])
def test_a_record_that_was_not_acknowledged_is_published_again_without_a_slot(topic: str) -> None:
    heard = Heard()
    process = answering if topic == "out" else rejecting
    output = {"output_topic": "out"} if topic == "out" else {}
    assert worked_on(2, heard, lambda broker: broker.fail_publishes(topic, 3), process=process, **output) == 1
    assert heard.successes + heard.dead_letters == 1


def test_results_of_a_batch_are_settled_beside_a_batch_that_takes_the_only_slot() -> None:
    async def process_batch(self: Worker, messages: list[str]) -> list[str]:
        if messages == ["long"]:
            await asyncio.sleep(LONG)
        return messages

    heard = Heard()
    options: dict[str, Any] = {
        "process_batch": process_batch,
        "batch_size": 3,
        "batch_timeout": 1.0,
        "output_topic": "out",
    }
    assert worked_on(4, heard, ordering="none", **options) == 3
    assert heard.successes == 3


def test_dead_letters_of_a_batch_are_settled_beside_a_batch_that_takes_the_only_slot() -> None:
    async def process_batch(self: Worker, messages: list[str]) -> None:
        if messages == ["long"]:
            await asyncio.sleep(LONG)
        raise PartialBatchError({0: Reject("no"), 1: Reject("no")})

    heard = Heard()
    options: dict[str, Any] = {"process_batch": process_batch, "batch_size": 2, "batch_timeout": 1.0}
    assert (
        worked_on(3, heard, lambda broker: broker.fail_publishes("in-dlq", 2), ordering="none", **options)
        == 2
    )
    assert heard.dead_letters == 2


def test_what_waited_behind_a_dead_letter_starts_when_that_is_settled() -> None:
    started: list[str] = []

    async def process(self: Worker, message: str) -> None:
        started.append(message)
        await rejecting(self, message)

    heard = Heard()
    assert worked_on(2, heard, process=process, ordering="partition") == 1
    assert started == ["short", "long"]
