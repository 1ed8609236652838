"""The counters against a ledger that the handlers write, in each way a message can be handled."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core_messaging.engine.counters import Counters
from core_messaging.errors import PartialBatchError
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.snapshot import COUNTERS
from core_messaging.testing import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.observed_worker import Observed, settled, work

COUNT = 60
FATES = ("fine",) * 6 + ("once", "always", "unencodable", "too large")


class Judge:
    """Decides by a message's number, and writes down each attempt."""

    def __init__(self) -> None:
        self.given: Counter[int] = Counter()
        self.raised = 0

    def judge(self, n: int) -> Any:
        self.given[n] += 1
        fate = FATES[n % len(FATES)]
        if fate == "always" or (fate == "once" and self.given[n] == 1):
            self.raised += 1
            raise ValueError(n)
        return {"unencodable": object(), "too large": "x" * 5000}.get(fate, n)


async def single(self: Any, message: int) -> Any:
    await asyncio.sleep(0.01)
    return self.book.judge(message)


def in_thread(self: Any, message: int) -> Any:
    return self.book.judge(message)


async def in_parts(self: Any, messages: list[int]) -> Any:
    results: list[Any] = []
    bad: dict[int, Exception] = {}
    for index, n in enumerate(messages):
        try:
            results.append(self.book.judge(n))
        except ValueError as error:
            bad[index] = error
            results.append(None)
    if bad:
        raise PartialBatchError(bad, results)
    return results


async def whole(self: Any, messages: list[int]) -> Any:
    """One that fails takes all with it, as far as the ledger knows."""
    book = self.book
    fails = any(FATES[n % len(FATES)] == "always" or (n % 10 == 6 and not book.given[n]) for n in messages)
    book.given.update(messages)
    if fails:
        book.raised += len(messages)
        raise ValueError(messages)
    return [{"unencodable": object(), "too large": "x" * 5000}.get(FATES[n % 10], n) for n in messages]


WAYS: dict[str, dict[str, Any]] = {
    "single": {"process": single, "concurrency": 4},
    "thread": {"process": in_thread, "concurrency": 4},
    "follow": {"process": single, "on_dead_letter": "follow", "concurrency": 4},
    "process in batches": {"process": single, "batch_size": 8},
    "batch in parts": {"process_batch": in_parts, "batch_size": 8},
    "whole batch": {"process_batch": whole, "batch_size": 8},
    "by partition": {"process": single, "batch_size": 8, "ordering": "partition"},
}


def handled(way: str) -> tuple[Judge, Observed, MemoryBroker]:
    broker = MemoryBroker({"in": 1, "out": 1, "dlq": 1})
    broker.refuse_larger_than(4000)
    for n in range(COUNT):
        broker.put("in", b"{" if n % 12 == 5 else b"%d" % n, b"k%d" % (n % 7))
    book = Judge()
    facts = {"input_topic": "in", "output_topic": "out", "dlq_topic": "dlq", "group_id": "g", "book": book}
    policy = {"max_retries": 2, "retry_backoff": "fixed", "initial_delay": 1.0, "batch_timeout": 0.2}
    if "batch_size" not in WAYS[way]:
        del policy["batch_timeout"]
    made = type("Made", (Worker,), facts | policy | WAYS[way])
    return book, run_virtually(work(broker, made, settled(broker, COUNT))), broker


@pytest.mark.parametrize("way", WAYS)
def test_counters_say_what_happened(way: str) -> None:
    book, observed, broker = handled(way)
    counters = observed.worker.counters
    attempts = book.given.total()
    assert counters["started"] == attempts
    assert observed.worker.latency.count == attempts
    assert counters["failed"] == book.raised
    assert counters["retried"] == len(observed.of("on_retry"))
    fates = {name: counters[name] for name in ("succeeded", "exhausted", "undecodable", "followed")}
    assert sum(fates.values()) == COUNT
    assert fates["succeeded"] == counters["published"] == len(broker.records("out"))
    letters = broker.records("dlq")
    assert len(letters) == counters["dead_lettered"] == COUNT - fates["succeeded"]
    assert (fates["followed"] > 0) == (way == "follow")
    if way != "follow":
        assert fates["undecodable"] == 5
        bad = [n for n in range(COUNT) if FATES[n % len(FATES)] not in ("fine", "once") and n % 12 != 5]
        assert fates["exhausted"] == len(bad)
    assert counters["failed"] - counters["retried"] == sum(
        dict(letter.headers)["core-error-type"] == b"ValueError" for letter in letters
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_dead_letter_and_its_hooks_say_how_often_the_handler_had_the_message(way: str) -> None:
    book, observed, broker = handled(way)
    for letter in broker.records("dlq"):
        facts = {name: value.decode() for name, value in letter.headers}
        untried = facts["core-error-type"] in ("Undecodable", "FollowsADeadLetter")
        number = int(facts["core-original-offset"])
        assert int(facts["core-attempts"]) == (0 if untried else book.given[number])
    for hook in ("on_error", "on_dead_letter"):
        for facts_told in observed.of(hook):
            context = facts_told["context"]
            assert context.attempt == book.given[context.offset]


def test_each_counter_is_explained_once_and_named_in_the_documentation() -> None:
    assert Counters().by_name() == dict.fromkeys(COUNTERS, 0)
    documentation = (Path(__file__).parents[3] / "docs" / "glossary.md").read_text()
    assert [name for name in COUNTERS if f"`core_{name}_total`" not in documentation] == []
