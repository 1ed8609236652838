"""What becomes of each message of a batch, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import pytest

from core_messaging.context import Context
from core_messaging.errors import PartialBatchError, Reject, RetryAfter
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.rules.retry import RetryPolicy
from core_messaging.testing import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.observed_worker import settled, work


class Kind(Worker):
    """``times[n]``: when message n was handed to the handler."""

    input_topic = "in"
    group_id = "g"
    dlq_topic = "dlq"
    max_retries = 3
    retry_backoff = RetryPolicy(backoff="fixed", initial_delay=1.0, give_up_on=(KeyError,))
    times: dict[int, list[float]]

    def note(self, n: int) -> int:
        """The number of the attempt."""
        self.times.setdefault(n, []).append(asyncio.get_running_loop().time())
        return len(self.times[n])


def made(**attributes: Any) -> Any:
    return type("Made", (Kind,), {"times": {}, "batch_size": 4, "batch_timeout": 0.2} | attributes)


def filled(count: int, keys: int = 1000, **topics: int) -> MemoryBroker:
    broker = MemoryBroker({"in": 1, "dlq": 1, "out": 1} | topics)
    for n in range(count):
        broker.put("in", b"%d" % n, b"k%d" % (n % keys))
    return broker


def at_least(count: int, found: list[Any]) -> bool:
    return len(found) >= count


def dead(broker: MemoryBroker) -> list[int]:
    return [int(record.value or b"") for record in broker.records("dlq")]


@pytest.mark.parametrize("reject", [Reject("0 is bad"), KeyError("give_up_on")])
@pytest.mark.parametrize("count", [4, 16])
def test_good_messages_of_a_batch_that_is_rejected_keep_their_retries(reject: Exception, count: int) -> None:
    # They were dead-lettered after one attempt of their own.
    async def process_batch(self: Any, messages: list[int]) -> None:
        for n in messages:
            self.note(n)
        if 0 in messages:
            raise reject
        if 1 in messages and len(self.troubles) < 3:
            self.troubles.append(messages)
            raise ConnectionError("for a moment")

    kind = made(process_batch=process_batch, troubles=[], batch_size=count)
    broker = filled(count)
    run_virtually(work(broker, kind, settled(broker, count)))
    assert dead(broker) == [0]


def test_a_batch_that_raises_gets_its_attempts_once_whatever_restarts_there_are() -> None:
    # They began anew at each restart ("attempt 7 of 4").
    async def process_batch(self: Any, messages: list[int]) -> None:
        self.calls.append(messages)
        raise ValueError("always")

    kind = made(process_batch=process_batch, calls=[], batch_size=2)
    broker = filled(2)

    async def test() -> None:
        for calls in (1, 2, 3):
            await work(broker, kind, partial(at_least, calls, kind.calls))
        await work(broker, kind, settled(broker, 2))

    run_virtually(test())
    whole = [call for call in kind.calls if len(call) == 2]
    assert len(whole) == 4
    assert sorted(dead(broker)) == [0, 1]
    assert len(kind.calls) == 6  # and once each alone, to find which of them it is


@pytest.mark.parametrize("in_batches", [False, True])
def test_attempts_that_fail_while_the_worker_stops_are_counted_at_the_next_start(in_batches: bool) -> None:
    # The message that fails last, during the drain, lost its count: a restart in each attempt repeated it for ever.
    async def process(self: Any, message: int, context: Context) -> None:
        self.attempts.append(context.attempt)
        await asyncio.sleep(5.0)
        raise ValueError("always")

    facts = {"attempts": [], "process": process}
    kind: Any = made(**facts) if in_batches else type("Single", (Kind,), facts)
    broker = filled(1)

    async def test() -> None:
        for calls in (1, 2, 3, 4):
            await work(broker, kind, partial(at_least, calls, kind.attempts))

    run_virtually(test())
    assert kind.attempts == [1, 2, 3, 4]
    assert dead(broker) == [0]


@pytest.mark.parametrize("ordering", ["key", "none"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_message_that_waits_long_holds_up_neither_its_batch_nor_its_partition(
    ordering: str,
    one_by_one: bool,
) -> None:
    waits = {0: RetryAfter(100.0), 1: RetryAfter(2.0)}

    async def process_batch(self: Any, messages: list[int]) -> None:
        bad = {i: waits[n] for i, n in enumerate(messages) if self.note(n) == 1 and n in waits}
        if bad:
            raise PartialBatchError(bad)

    async def process(self: Any, message: int) -> None:
        if self.note(message) == 1 and message in waits:
            raise waits[message]

    body: dict[str, Any] = {"process": process} if one_by_one else {"process_batch": process_batch}
    kind = made(ordering=ordering, **body)
    broker = filled(12, keys=4)  # 4 and 8 come after 0 in its key
    run_virtually(work(broker, kind, settled(broker, 12)))
    first = kind.times[0][0]
    late = {n: times[-1] - first for n, times in kind.times.items()}
    assert late.pop(0) == pytest.approx(100.0, abs=1.0)
    assert late.pop(1) == pytest.approx(2.0, abs=1.0)
    for n in (4, 8) if ordering == "key" else ():
        assert late.pop(n) == pytest.approx(100.0, abs=2.0)
    assert max(late.values()) < 4.0
    if ordering == "key":
        assert [n for n in sorted(kind.times, key=lambda n: kind.times[n][-1]) if n % 4 == 0] == [0, 4, 8]


def test_each_message_of_a_batch_is_settled_when_it_is_over_and_not_when_the_slowest_is() -> None:
    async def process(self: Any, message: int) -> int:
        self.note(message)
        if message == 2 and len(self.times[2]) == 1:
            await asyncio.sleep(600.0)
        return message

    kind = made(process=process, output_topic="out", batch_size=10)
    broker = filled(10)

    async def test() -> tuple[int, Counter[int]]:
        loop = asyncio.get_running_loop()
        await work(broker, kind, lambda: len(broker.records("out")) == 9, shutdown_timeout=5.0)
        at = loop.time()
        await work(broker, kind, settled(broker, 10))
        return int(at), Counter(int(record.value or b"") for record in broker.records("out"))

    at, results = run_virtually(test())
    assert at < 30
    assert results == Counter(range(10))
    assert [len(kind.times[n]) for n in range(10)] == [1, 1, 2, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_delay_that_is_told_is_the_one_that_follows(one_by_one: bool) -> None:
    waits = {0: RetryAfter(30.0), 2: RetryAfter(3.0), 3: ValueError("by the policy")}

    async def process_batch(self: Any, messages: list[int]) -> None:
        bad = {i: waits[n] for i, n in enumerate(messages) if self.note(n) == 1 and n in waits}
        if bad:
            raise PartialBatchError(bad)

    async def process(self: Any, message: int) -> None:
        if self.note(message) == 1 and message in waits:
            raise waits[message]

    body: dict[str, Any] = {"process": process} if one_by_one else {"process_batch": process_batch}
    kind = made(**body)
    broker = filled(4, keys=2)  # 0 and 2 are of one key
    observed = run_virtually(work(broker, kind, settled(broker, 4)))
    told = {facts["message"]: facts["delay"] for facts in observed.of("on_retry")}
    real = {n: times[1] - times[0] for n, times in kind.times.items() if len(times) > 1}
    assert told.keys() == real.keys()
    for n, delay in told.items():
        assert real[n] == pytest.approx(delay, abs=0.1)


def test_a_key_waits_where_the_dead_letter_of_its_message_is_refused_and_others_go_on() -> None:
    async def process_batch(self: Any, messages: list[int]) -> None:
        bad: dict[int, Exception] = {
            i: Reject("no") for i, n in enumerate(messages) if self.note(n) and n == 0
        }
        if bad:
            raise PartialBatchError(bad)

    kind = made(process_batch=process_batch)
    broker = filled(0)
    broker.put("in", b"0" + b" " * 5000, b"a")
    for n in range(1, 9):
        broker.put("in", b"%d" % n, b"a" if n == 5 else b"b")
    broker.refuse_larger_than(1000)

    async def test() -> set[int]:
        await work(broker, kind, lambda: len(kind.times) >= 8)
        return set(kind.times)

    assert run_virtually(test()) == {0, 1, 2, 3, 4, 6, 7, 8}
