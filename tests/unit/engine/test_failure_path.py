"""A message that fails twice goes a short way to the dead-letter queue."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from types import FrameType

import pytest

import core_messaging
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.rules.job import Job
from core_messaging.testing import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.observed_worker import settled, work

PACKAGE = Path(core_messaging.__file__).parent
NO_ROOMS = {"rules/job.py", "engine/counters.py"}  # the message itself; numbers


class FailsTwice(Worker):
    input_topic = "in"
    dlq_topic = "dlq"
    max_retries = 1

    async def process(self, message: dict) -> None:  # type: ignore[type-arg]
        raise ValueError(message["id"])

    async def on_error(self, message: object, error: Exception) -> None:
        await asyncio.sleep(0)


def rooms_of_a_message() -> list[str]:
    """The modules whose functions are given the job of one message, in order; those in a row once."""
    broker = MemoryBroker({"in": 1, "dlq": 1})
    broker.put("in", b'{"id": 1}', b"key")
    calls: list[str] = []
    seen: set[FrameType] = set()  # kept: a coroutine that goes on has the frame that it began with

    def note(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE) and frame not in seen:
            seen.add(frame)
            names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
            if any(isinstance(frame.f_locals.get(name), Job) for name in names):
                calls.append(path.relative_to(PACKAGE).as_posix())

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run_virtually(work(broker, FailsTwice, lambda: broker.records("dlq")))
    finally:
        sys.setprofile(before)
    (letter,) = broker.records("dlq")
    assert dict(letter.headers)["core-attempts"] == b"2"
    return [room for room, _ in groupby(room for room in calls if room not in NO_ROOMS)]


def test_a_message_that_fails_twice_enters_no_module_more_than_three_times() -> None:
    # It crossed ten modules and came back twelve times, and nobody could follow it in the code.
    rooms = rooms_of_a_message()
    visits = Counter(rooms)
    assert {room: count for room, count in visits.items() if count > 3} == {}, rooms
    assert {"engine/failure_path.py", "engine/dead_letters.py", "engine/record_sender.py"} <= set(visits)
    assert rooms[-1].startswith("rules/"), rooms  # it ends where its offset may be committed


class Sorted(Worker):
    input_topic = "in"
    group_id = "g"
    dlq_topic = {LookupError: "lost", Exception: "dead"}  # noqa: RUF012
    max_retries = 0

    async def process(self, message: dict) -> None:  # type: ignore[type-arg]
        raise {"key": KeyError, "value": ValueError}[message["error"]](message["error"])


def test_dead_letters_go_to_the_queue_of_their_error(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker({"in": 1, "lost": 1, "dead": 1})
    for value in (b'{"error": "key"}', b'{"error": "value"}', b"{no JSON"):
        broker.put("in", value)
    observed = run_virtually(work(broker, Sorted, settled(broker, 3)))
    assert [record.value for record in broker.records("lost")] == [b'{"error": "key"}']
    assert [record.value for record in broker.records("dead")] == [b'{"error": "value"}', b"{no JSON"]
    assert [facts["topic"] for facts in observed.of("on_dead_letter")] == ["lost", "dead", "dead"]
    assert "to lost after 1 attempt: KeyError" in caplog.text
