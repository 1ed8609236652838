"""Messages whose handlers do not wait are worked off without a job; whatever one of them does, nothing else changes."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable

import pytest

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.observers import Observers
from core_messaging.options import Ordering
from core_messaging.testing import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.observed_worker import Observed, settled, work

COUNT, KEYS = 300, 7


class Watching(Observed):
    """Its ``on_success`` takes no context. It waits after every fifth message if *hooks_wait*."""

    def __init__(self, *, hooks_wait: bool = False) -> None:
        super().__init__()
        self.hooks_wait = hooks_wait
        self.succeeded: Counter[int] = Counter()

    def observers(self) -> Observers:
        return Observers(on_success=self.on_success, success_wants_context=False)

    def on_success(self, *, message: int, **_facts: object) -> Awaitable[None] | None:
        self.succeeded[message] += 1
        return asyncio.sleep(0.01) if self.hooks_wait and message % 5 == 0 else None


class Mixed(Worker):
    """Most handlers do not wait. Every seventh waits, every eleventh fails at first, every thirteenth does both."""

    input_topic, dlq_topic, group_id = "in", "dlq", "g"
    concurrency = 4
    max_retries, retry_backoff, initial_delay = 2, "fixed", 0.5

    given: dict[int, int]
    order: dict[int, list[int]]

    async def process(self, message: int) -> None:
        self.given[message] += 1
        if message % 7 == 0 or message % 13 == 0:
            await asyncio.sleep(0.02)
        if (message % 11 == 0 or message % 13 == 0) and self.given[message] == 1:
            raise ValueError(message)
        self.order[message % KEYS].append(message)


@pytest.mark.parametrize("hooks_wait", [False, True])
@pytest.mark.parametrize("ordering", ["key", "partition", "none"])
def test_each_message_is_handled_in_the_order_of_its_key_and_counted_once(
    ordering: Ordering, hooks_wait: bool
) -> None:
    broker = MemoryBroker({"in": 3, "dlq": 1})
    for number in range(COUNT):
        broker.put("in", b"{" if number % 50 == 49 else b"%d" % number, b"k%d" % (number % KEYS))
    good = [number for number in range(COUNT) if number % 50 != 49]
    facts = {"given": defaultdict(int), "order": defaultdict(list), "ordering": ordering}
    made = type("Made", (Mixed,), facts)
    watching = Watching(hooks_wait=hooks_wait)
    observed = run_virtually(work(broker, made, settled(broker, COUNT), watching))
    failing = [number for number in good if number % 11 == 0 or number % 13 == 0]
    assert made.given == Counter(good) + Counter(failing)  # type: ignore[attr-defined]
    assert watching.succeeded == Counter(good)
    if ordering != "none":
        order: dict[int, list[int]] = made.order  # type: ignore[attr-defined]
        assert all(numbers == sorted(numbers) for numbers in order.values())
    worker = observed.worker
    assert worker.counters["started"] == worker.latency.count == len(good) + len(failing)
    assert worker.counters["succeeded"] == len(good)
    assert worker.counters["failed"] == worker.counters["retried"] == len(failing)
    assert worker.counters["undecodable"] == COUNT - len(good)
    assert sum(commit.offset for commit in broker.committed("g", "in").values()) == COUNT


class Measured(Worker):
    """Computes for a while on the loop's clock, which is virtual, or waits."""

    input_topic, group_id = "in", "g"

    async def process(self, message: int) -> None:
        if message % 2:
            await asyncio.sleep(3.0)


def test_the_time_of_a_handler_that_waits_is_its_own() -> None:
    broker = MemoryBroker({"in": 1})
    for number in range(10):
        broker.put("in", b"%d" % number)
    observed = run_virtually(work(broker, Measured, settled(broker, 10), Watching()))
    latency = observed.worker.latency
    assert latency.count == 10
    assert latency.counts[latency.bounds.index(5.0)] == 5
    assert latency.total == pytest.approx(15.0)
