"""What a worker says of itself while something takes long, or has gone: the probes act on it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from core_messaging import PartialBatchError, RetryAfter
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.snapshot import Condition
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.probed_worker import Looks, at_work, until

WELL = {Condition.STARTING, Condition.RUNNING, Condition.DRAINING}


def filled(count: int, **topics: int) -> MemoryBroker:
    broker = MemoryBroker({"in": 1, **topics})
    for number in range(count):
        broker.put("in", b"%d" % number, b"%d" % number)
    return broker


def test_a_batch_whose_messages_are_done_one_after_the_other_is_not_stuck() -> None:
    # All of a batch was measured against the time limit of one message: 503 for nine of ten seconds, and a restart.
    looks, done = Looks(), list[int]()

    async def process(self: Worker, message: int) -> None:
        await asyncio.sleep(0.9)
        done.append(message)

    async def test() -> None:
        options = {"batch_size": 20, "timeout": 1.0, "ordering": "partition", "process": process}
        async with at_work(filled(40), looks, **options):
            await until(lambda: len(done) == 40)

    run_virtually(test())
    assert looks.conditions <= WELL


@pytest.mark.parametrize("options", [{}, {"timeout": 3.0}, {"batch_size": 4}])
def test_an_attempt_that_never_ends_is(options: dict[str, Any]) -> None:
    looks, over = Looks(), asyncio.Event()

    async def process(self: Worker, message: int) -> None:
        while not over.is_set():
            with suppress(asyncio.CancelledError):  # of its time limit
                await over.wait()

    async def test() -> None:
        async with at_work(filled(1), looks, process=process, **options):
            await until(lambda: Condition.STUCK in looks.conditions)
            assert "an attempt at in[0]@0 runs for" in looks.seen[-1].reason
            over.set()

    run_virtually(test())


@pytest.mark.parametrize("options", [{}, {"timeout": 900.0}, {"timeout": 900.0, "stuck_after": 5.0}])
def test_a_healthy_attempt_of_ten_minutes_is_no_reason_for_a_restart(options: dict[str, Any]) -> None:
    # Kubernetes restarted the worker after five minutes, which began the same ten minutes anew, for ever.
    looks, done = Looks(), list[int]()

    async def process(self: Worker, message: int) -> None:
        await asyncio.sleep(600.0)
        done.append(message)

    async def test() -> None:
        async with at_work(filled(1), looks, **{"stuck_after": None, "process": process, **options}):
            await until(lambda: done)

    run_virtually(test())
    assert looks.conditions <= WELL
    assert any("has no timeout" in each.reason for each in looks.seen) == (not options)


def test_an_ordinary_retry_does_not_make_a_worker_blocked() -> None:
    # /healthz said 503 and the log warned, for a second of waiting.
    looks, done = Looks(), list[int]()

    async def process(self: Worker, message: int, context: Any) -> None:
        if context.attempt < 4:
            raise ValueError("not yet")
        done.append(message)

    async def test() -> None:
        async with at_work(filled(3), looks, process=process, initial_delay=5.0, retry_backoff="fixed"):
            await until(lambda: len(done) == 3)

    run_virtually(test())
    assert looks.conditions <= WELL


@pytest.mark.parametrize("options", [{}, {"batch_size": 2}])
def test_a_worker_that_can_only_wait_for_a_minute_is_blocked_until_something_is_done(
    options: dict[str, Any],
) -> None:
    looks, over, broker = Looks(), asyncio.Event(), filled(1)

    async def process(self: Worker, message: int) -> None:
        if not message and not over.is_set():
            raise RetryAfter(20.0)

    async def test() -> None:
        async with at_work(broker, looks, process=process, max_retries=1000, **options):
            await until(lambda: Condition.BLOCKED in looks.conditions)
            waited = len([each for each in looks.seen if each.condition is Condition.RUNNING])
            assert 55 <= waited <= 65  # looks, one a second
            if not options:  # in batches it would wait behind the first one
                broker.put("in", b"1", b"1")
                await until(lambda: looks.seen[-1].condition is Condition.RUNNING)
                await until(lambda: looks.seen[-1].condition is Condition.BLOCKED)
            over.set()
            await until(lambda: looks.seen[-1].condition is Condition.RUNNING)

    run_virtually(test())


def test_a_worker_whose_dead_letters_cannot_be_written_is_blocked() -> None:
    looks, broker = Looks(), filled(1, dlq=1)

    async def process(self: Worker, message: int) -> None:
        raise ValueError("always")

    async def test() -> None:
        async with at_work(broker, looks, process=process, max_retries=0, dlq_topic="dlq"):
            broker.fail_publishes("dlq", 1000)
            await until(lambda: Condition.BLOCKED in looks.conditions)

    run_virtually(test())


def test_a_worker_that_cannot_join_its_group_again_says_so_each_time_and_is_not_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # It was told once, and not why; from then on the worker was "starting", with no lag, for as long as it took.
    looks, broker = Looks(), filled(1)

    async def process(self: Worker, message: int) -> None: ...

    async def test() -> None:
        async with at_work(broker, looks, process=process):
            await until(lambda: Condition.RUNNING in looks.conditions)
            broker.unreachable = True
            broker.fail_fetches(1)
            await until(lambda: len(refused()) == 3)
            await until(lambda: looks.seen[-1].condition is Condition.DEGRADED)
            assert looks.seen[-1].lag is None
            assert "out of its group" in looks.seen[-1].reason
            broker.unreachable = False
            await until(lambda: looks.seen[-1].condition is Condition.RUNNING)
            assert looks.seen[-1].lag == 0

    def refused() -> list[str]:
        return [line for line in caplog.messages if "cannot join its group again" in line]

    with caplog.at_level(logging.INFO):
        run_virtually(test())
    assert Condition.STUCK not in looks.conditions
    assert "no Kafka broker answers" in refused()[0]
    assert "Watched is back in its group" in caplog.messages


def results_of(raised: PartialBatchError, caplog: pytest.LogCaptureFixture) -> tuple[list[Any], bool]:
    """What is published of a batch of three that raises so; whether the log says what is not."""
    broker = filled(3, out=1, dlq=1)

    async def process_batch(self: Worker, messages: list[int]) -> None:
        if len(messages) == 3:
            raise raised
        raise ValueError(messages)

    async def test() -> None:
        options = {"batch_size": 3, "output_topic": "out", "dlq_topic": "dlq", "max_retries": 0}
        async with at_work(broker, Looks(), process_batch=process_batch, **options):
            await until(lambda: broker.records("dlq"))

    run_virtually(test())
    return [
        record.value for record in broker.records("out")
    ], "PartialBatchError without results" in caplog.text


def test_the_results_of_what_is_done_travel_with_the_error_of_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Nothing was published for the good ones, and nobody said so.
    bad = {1: ValueError("no id")}
    assert results_of(PartialBatchError(bad, ["a", None, "c"]), caplog) == ([b"a", b"c"], False)
    assert results_of(PartialBatchError(bad), caplog) == ([], True)
