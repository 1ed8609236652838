"""A worker with a ``dlq_limit`` pauses when too much fails for good, and loses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.options import DlqLimit
from core_messaging.snapshot import Condition
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.observed_worker import Observed, settled, work

ALLOWED, SENT = 3, 10


class Downstream:
    """What the handlers call. ``got``: the numbers that it took, in order."""

    def __init__(self) -> None:
        self.is_down = True
        self.got: list[int] = []

    def call(self, number: int) -> None:
        if self.is_down:
            raise ConnectionError("down")
        self.got.append(number)


def worker_of(downstream: Downstream, **options: Any) -> type[Worker]:
    async def process(self: Worker, message: int) -> None:
        downstream.call(message)

    async def process_batch(self: Worker, messages: list[int]) -> None:
        for message in messages:
            downstream.call(message)

    handler = {"process_batch": process_batch} if options.pop("whole", False) else {"process": process}
    given = {"max_retries": 1, "initial_delay": 0.1, "dlq_limit": DlqLimit(consecutive=ALLOWED), **options}
    return type(
        "Calls", (Worker,), {"input_topic": "in", "group_id": "g", "dlq_topic": "dlq", **handler, **given}
    )


def full_broker() -> MemoryBroker:
    broker = MemoryBroker({"in": 1, "dlq": 1})
    for number in range(SENT):
        broker.put("in", b"%d" % number, b"key %d" % (number % 2))
    return broker


def run_until_paused(broker: MemoryBroker, made: type[Worker]) -> Observed:
    """*made* at work until it has paused, and 10 s longer."""
    observed, looks = Observed(), 0

    def is_paused_for_long() -> bool:
        nonlocal looks
        looks += observed.snapshot is not None and observed.worker.condition is Condition.PAUSED
        return looks > 200

    return run_virtually(work(broker, made, is_paused_for_long, observed))


@pytest.mark.parametrize(
    "options",
    [{}, {"ordering": "partition"}, {"concurrency": 4}, {"batch_size": 3}, {"batch_size": 3, "whole": True}],
    ids=str,
)
def test_beyond_the_limit_it_pauses_and_the_next_start_begins_with_what_was_held_back(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker, downstream = full_broker(), Downstream()
    observed = run_until_paused(broker, worker_of(downstream, **options))
    letters = broker.records("dlq")
    assert len(letters) == ALLOWED
    (line,) = [record for record in caplog.records if getattr(record, "action", "") == "dlq limit"]
    assert "4 messages in a row failed for good" in line.getMessage()
    assert "stays uncommitted" in line.getMessage()
    assert "start this process again" in line.getMessage()
    assert len(observed.of("on_dead_letter")) == ALLOWED

    downstream.is_down = False
    run_virtually(work(broker, worker_of(downstream, **options), settled(broker, SENT)))
    assert len(broker.records("dlq")) == ALLOWED
    dead = {int(letter.value or b"") for letter in letters}
    assert sorted(downstream.got) == sorted(set(range(SENT)) - dead)
    for key in (0, 1):
        of_key = [number for number in downstream.got if number % 2 == key]
        assert of_key == sorted(of_key)


def test_what_is_held_back_begins_with_all_its_attempts() -> None:
    broker, downstream = full_broker(), Downstream()
    run_until_paused(broker, worker_of(downstream))
    observed = run_virtually(
        work(broker, worker_of(downstream), lambda: len(broker.records("dlq")) == 2 * ALLOWED)
    )
    assert [facts["context"].attempt for facts in observed.of("on_error")] == [2] * ALLOWED


def test_undecodable_messages_count_too() -> None:
    broker = MemoryBroker({"in": 1, "dlq": 1})
    for _ in range(SENT):
        broker.put("in", b"{no JSON", None)
    observed = run_until_paused(broker, worker_of(Downstream()))
    assert len(broker.records("dlq")) == ALLOWED
    assert observed.worker.counters["undecodable"] == ALLOWED


def test_the_reason_is_in_the_snapshot_and_the_counters_add_up() -> None:
    observed = run_until_paused(full_broker(), worker_of(Downstream()))
    snapshot = observed.worker
    counters = snapshot.counters
    assert counters["failed"] == counters["retried"] + counters["exhausted"]
    assert counters["exhausted"] == counters["dead_lettered"] == ALLOWED


def test_without_a_limit_everything_is_dead_lettered() -> None:
    broker = full_broker()
    run_virtually(work(broker, worker_of(Downstream(), dlq_limit=None), settled(broker, SENT)))
    assert len(broker.records("dlq")) == SENT
