"""What is told, counted and left for the next start when an attempt fails, on a virtual clock."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from core_messaging.context import Context
from core_messaging.errors import Reject, RetriesExhausted, RetryAfter
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.rules.blocked_keys import HEADER
from core_messaging.rules.retry import RetryPolicy
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.observed_worker import Observed, settled, work


def made(**attributes: Any) -> Any:
    return type("Made", (Worker,), {"input_topic": "in", "group_id": "g"} | attributes)


def filled(*values: bytes, partitions: int = 1) -> MemoryBroker:
    broker = MemoryBroker({"in": partitions, "dlq": 1})
    for number, value in enumerate(values):
        broker.put("in", value, b"k", partition=number % partitions)
    return broker


BATCHES: dict[str, Any] = {"batch_size": 4, "batch_timeout": 0.2}
LONG = RetryPolicy(backoff="fixed", initial_delay=600.0, max_delay=600.0, max_retries=2)


@pytest.mark.parametrize("mode", [{}, BATCHES], ids=["single", "batches"])
def test_a_message_that_stopped_its_worker_comes_first_and_with_all_its_attempts(mode: Any) -> None:
    # It waited for its last delay once more, and had one attempt.
    attempts: list[int] = []
    mended = False

    async def process(self: Worker, message: int, context: Context) -> None:
        attempts.append(context.attempt)
        if not mended:
            raise ValueError("broken")

    kind = made(process=process, on_exhausted="stop", retry_backoff=LONG, **mode)
    broker = filled(b"1", b"2")

    async def test() -> tuple[dict[str, int], float]:
        nonlocal mended
        for _ in range(2):
            with pytest.raises(RetriesExhausted):
                await work(broker, kind, lambda: False)
        observed = Observed()
        options = RunOptions(settings=Settings(), broker=broker, plugins=observed, handle_signals=False)
        with pytest.raises(RetriesExhausted):
            await run_workers([kind], options)
        counters = dict(observed.worker.counters)
        mended = True
        began = asyncio.get_running_loop().time()
        await work(broker, kind, settled(broker, 2))
        return counters, asyncio.get_running_loop().time() - began

    counters, seconds = run_virtually(test())
    assert attempts == [1, 2, 3] * 3 + [1, 1]
    assert seconds < 10
    assert (counters["exhausted"], counters["failed"], counters["retried"]) == (0, 3, 2)


async def _fails(self: Any, message: int) -> None:
    await asyncio.sleep(10)
    raise self.error


async def _fails_in_batch(self: Any, messages: list[int]) -> None:
    await _fails(self, messages[0])


async def _slow_hook(self: Any, data: Any, error: Exception) -> None:
    await asyncio.sleep(10)


FATES: dict[str, dict[str, Any]] = {
    "single": {"process": _fails},
    "batch": {"process_batch": _fails_in_batch, **BATCHES},
    "process in batches": {"process": _fails, **BATCHES},
    "on_error takes long": {"process": _fails, "on_error": _slow_hook},
    "undecodable": {"process": _fails, "on_undecodable": _slow_hook},
}


@pytest.mark.parametrize("error", [Reject("for good"), RetryAfter(1.0)], ids=["given up", "retried"])
@pytest.mark.parametrize("fate", FATES)
def test_nothing_is_told_of_a_message_whose_partition_has_gone_meanwhile(fate: str, error: Exception) -> None:
    # on_error said that it had failed for good, and the next owner succeeded.
    broker = filled(*[b"{" if fate == "undecodable" else b"%d" % n for n in range(4)], partitions=4)
    kind = made(dlq_topic="dlq", concurrency=4, error=error, **FATES[fate])
    other = made(dlq_topic="dlq", concurrency=4, process=_succeeds)
    observed = Observed()
    settings, held = Settings(revoke_timeout=0.3), set[int]()

    async def test() -> None:
        first = RunOptions(settings=settings, broker=broker, plugins=observed, handle_signals=False)
        second = RunOptions(settings=settings, broker=broker, handle_signals=False)
        members = [asyncio.create_task(run_workers([kind], first))]
        await asyncio.sleep(9 if fate == "undecodable" else 2)
        members.append(asyncio.create_task(run_workers([other], second)))
        await asyncio.sleep(100)
        held.update(source.partition for source in observed.worker.partitions)
        for member in members:
            member.cancel()
        await asyncio.wait(members)

    run_virtually(test())
    assert len(held) == 2
    assert {facts["context"].partition for _, facts in observed.told} <= held
    assert observed.worker.counters["dropped"] == 2  # what stays is not disturbed
    assert len(observed.of("on_error")) == len(observed.of("on_dead_letter")) == 2


async def _succeeds(self: Worker, message: int) -> None: ...


def _following(**attributes: Any) -> tuple[Any, list[int]]:
    handled: list[int] = []

    async def process(self: Worker, message: int) -> None:
        handled.append(message)
        if message == 0:
            raise Reject("no")

    return made(process=process, dlq_topic="dlq", on_dead_letter="follow", **attributes), handled


def _with_words(*words: tuple[int, bytes, bytes | None]) -> MemoryBroker:
    broker = MemoryBroker({"in": 1, "dlq": 1})
    for number, key, word in words:
        broker.put("in", b"%d" % number, key, [] if word is None else [(HEADER, word)])
    return broker


def test_clear_drops_a_record_of_a_blocked_key_only_and_that_is_said_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Any producer could have a record dropped by it, without a line or a count.
    kind, handled = _following()
    broker = _with_words((0, b"a", None), (1, b"b", b"clear"), (2, b"a", b"clear"), (3, b"a", b"clear"))
    with caplog.at_level(logging.INFO, "core_messaging"):
        observed = run_virtually(work(broker, kind, settled(broker, 4)))
    assert sorted(handled) == [0, 1, 3]
    assert observed.worker.counters["cleared"] == 1
    assert observed.worker.counters["followed"] == 0
    assert "in[0]@2" in caplog.text
    assert "it is dropped, as asked" in caplog.text


@pytest.mark.parametrize("word", [b"clear", b"replay"])
def test_headers_of_producers_lift_no_block_where_they_are_not_obeyed(word: bytes) -> None:
    kind, handled = _following()
    broker = _with_words((0, b"a", None), (1, b"a", word), (2, b"b", word))
    observed = run_virtually(work(broker, kind, settled(broker, 3), obey_unblock_headers=False))
    assert sorted(handled) == [0, 2]
    assert (observed.worker.counters["followed"], observed.worker.counters["cleared"]) == (1, 0)
    contexts = {facts["context"].offset: facts["context"].attempt for facts in observed.of("on_error")}
    assert contexts == {0: 1, 1: 0}  # the second one was not tried


@pytest.mark.parametrize("mode", [{}, BATCHES], ids=["single", "batches"])
def test_what_a_handler_asks_for_inside_a_task_group_is_done(mode: Any) -> None:
    times: dict[int, list[float]] = {0: [], 1: [], 2: []}

    async def ask(error: Exception) -> None:
        raise error

    async def process(self: Worker, message: int) -> None:
        times[message].append(asyncio.get_running_loop().time())
        errors: dict[int, Exception] = {0: Reject("no"), 1: RetryAfter(50.0)}
        if message in errors and len(times[message]) == 1:
            async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as group:
                group.create_task(ask(errors[message]))
                outer.create_task(asyncio.sleep(0))

    kind = made(process=process, dlq_topic="dlq", ordering="none", **mode)
    broker = filled(b"0", b"1", b"2")
    run_virtually(work(broker, kind, settled(broker, 3)))
    (letter,) = broker.records("dlq")
    assert dict(letter.headers)["core-error-type"] == b"Reject"
    assert times[1][1] - times[1][0] == pytest.approx(50.0, abs=1.0)
