"""A partition that leaves and comes back: retries keep their time, and a process that lives has not crashed."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.batch_schedule import BatchSchedule
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.rules.job import GivingUp
from core_messaging.rules.message_schedule import MessageSchedule
from core_messaging.rules.schedule import Schedule
from core_messaging.testing import Fault, simulate
from core_messaging.worker import Worker
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("t", 0)
DELAY = 200.0  # seconds


@pytest.mark.parametrize("options", [{}, {"batch_size": 5, "batch_timeout": 1.0}])
@pytest.mark.parametrize("seed", range(4))
def test_a_rebalance_is_no_reason_to_try_again_at_once(options: dict[str, Any], seed: int) -> None:
    # All attempts of a message were made within seconds, and it was dead-lettered half an hour too early.
    starts: list[float] = []

    async def process(self: Worker, message: int) -> None:
        starts.append(asyncio.get_running_loop().time())
        raise ValueError("not now")

    attributes = {"input_topic": "in", "dlq_topic": "in-dlq", "max_retries": 2, "backoff": "fixed"}
    made = type("Late", (Worker,), {**attributes, "initial_delay": DELAY, "process": process, **options})
    report = simulate(made, [b"1"], seed=seed, faults=(Fault.JOIN, Fault.LEAVE), count=6, members=1)
    assert report.dead_lettered == 1
    assert len(starts) == 3
    assert all(later - earlier >= DELAY - 0.1 for earlier, later in itertools.pairwise(starts))


@pytest.mark.parametrize("fault", [Fault.FETCH_BROKEN, Fault.EXPEL])
@pytest.mark.parametrize("seed", range(6))
def test_a_member_that_comes_back_has_not_crashed(fault: Fault, seed: int) -> None:
    # Three lost consumers in a row, and an innocent message was dead-lettered for having killed three processes.
    class Slow(Worker):
        input_topic = "in"
        dlq_topic = "in-dlq"

        async def process(self, message: int) -> None:
            await asyncio.sleep(0.5)

    messages = [(b"%d" % n, b"%d" % n) for n in range(80)]
    report = simulate(Slow, messages, seed=seed, faults=(fault,), count=5, members=1)
    assert (report.finished, report.dead_lettered) == (80, 0)


def _waiting(schedule: Schedule, commit: Committed | None) -> Assignment:
    assignment = Assignment(SOURCE, 1, commit)
    schedule.deliver(assignment, [PlainRecord(0, b"a"), PlainRecord(1, b"a"), PlainRecord(2, b"b")], 100.0)
    return assignment


def _tried_once() -> tuple[Assignment, Committed]:
    """Offset 0 has failed once and was due at 130 when the partition was given back at 100."""
    schedule = MessageSchedule("key")
    assignment = _waiting(schedule, None)
    job = schedule.take()
    assert job is not None
    job.attempt = 2
    schedule.retry(job, 130.0)
    schedule.drain(assignment)
    commit = assignment.progress(owned=False)
    assert commit is not None
    assignment.acknowledge(commit)
    return assignment, commit


def test_whoever_had_it_knows_when_its_retry_is_due_and_its_lane_waits() -> None:
    old, commit = _tried_once()
    schedule = MessageSchedule("key", delay=lambda attempt: 50.0)
    assignment = Assignment(SOURCE, 2, commit)
    assignment.restore(old.remember())
    schedule.deliver(assignment, [PlainRecord(0, b"a"), PlainRecord(1, b"a"), PlainRecord(2, b"b")], 110.0)
    started = schedule.take()
    assert started is not None
    assert started.record.offset == 2
    assert schedule.take() is None
    assert schedule.next_due == 130.0
    assert schedule.release(130.0) == 1
    retried = schedule.take()
    assert retried is not None
    assert (retried.record.offset, retried.attempt) == (0, 2)
    schedule.finish(retried)
    follower = schedule.take()
    assert follower is not None
    assert follower.record.offset == 1


def test_whoever_has_it_next_waits_the_whole_delay_of_that_attempt() -> None:
    _, commit = _tried_once()
    schedule = MessageSchedule("key", delay=lambda attempt: 25.0 * attempt)
    _waiting(schedule, commit)
    assert schedule.next_due == 150.0


def test_a_message_that_is_looked_at_alone_after_crashes_does_not_wait() -> None:
    _, commit = _tried_once()
    schedule = MessageSchedule("key", delay=lambda attempt: 50.0)
    schedule.deliver(Assignment(SOURCE, 2, commit), [PlainRecord(0, b"a")], float("-inf"))
    assert schedule.next_due is None
    assert schedule.take() is not None


def test_what_is_evicted_while_it_waits_so_is_a_dead_letter() -> None:
    # It had no error, and what has none is a result: it was told as a success, and its key was not blocked.
    _, commit = _tried_once()
    schedule = MessageSchedule("key", delay=lambda attempt: 50.0)
    assignment = _waiting(schedule, commit)
    oldest = assignment.oldest()
    assert oldest is not None
    assert oldest.offset == 0
    assert schedule.evict(assignment, 1) == 1
    evicted = schedule.settlements.take()
    assert evicted is not None
    assert isinstance(evicted.sending, GivingUp)
    assert "it waited for attempt 2" in str(evicted.sending.error)
    assert evicted.attempt == 1  # as many were made; the letter says so


def test_an_earlier_message_of_the_key_that_came_before_it_stays_before_it() -> None:
    note = CommitNote.of(0, (), {1: 2}, Ownership()).encode()
    schedule = MessageSchedule("key", delay=lambda attempt: 50.0)
    assignment = Assignment(SOURCE, 2, Committed(0, note))
    schedule.deliver(assignment, [PlainRecord(0, b"a")], 100.0)
    schedule.deliver(assignment, [PlainRecord(1, b"a")], 100.0)
    first = schedule.take()
    assert first is not None
    assert first.record.offset == 0


def test_in_no_order_only_what_was_tried_before_waits() -> None:
    _, commit = _tried_once()
    schedule = BatchSchedule("none", 3, 60.0, delay=lambda attempt: 3600.0)
    assignment = Assignment(SOURCE, 2, commit)
    schedule.deliver(assignment, [PlainRecord(offset, b"k%d" % offset) for offset in range(9)], 100.0)
    batches = [schedule.take(100.0), schedule.take(100.0), schedule.take(100.0), schedule.take(160.0)]
    assert [[job.record.offset for job in batch.jobs] for batch in batches if batch] == [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8],
    ]
    assert schedule.next_due == 3700.0
    assert schedule.release(3700.0) == 1
    retried = schedule.take(3700.0)
    assert retried is not None
    assert [job.record.offset for job in retried.jobs] == [0]


def test_what_was_tried_before_holds_up_its_own_key_only_also_in_batches() -> None:
    # Whatever came with it waited for the whole of its delay.
    _, commit = _tried_once()
    schedule = BatchSchedule("key", 3, 1.0, delay=lambda attempt: 25.0 * attempt)
    _waiting(schedule, commit)
    assert schedule.next_due == 101.0
    assert _offsets(schedule, 101.0) == [2]
    assert schedule.next_due == 150.0
    assert _offsets(schedule, 149.0) == []
    assert schedule.release(150.0) == 1
    batch = schedule.take(150.0)
    assert batch is not None
    (job,) = batch.jobs
    assert (job.record.offset, job.attempt) == (0, 2)
    schedule.finish(job)
    assert _offsets(schedule, 151.0) == [1]


def _offsets(schedule: BatchSchedule, now: float) -> list[int]:
    """Of the batch that starts *now*, which is finished at once."""
    batch = schedule.take(now)
    jobs = batch.jobs if batch is not None else []
    for job in jobs:
        schedule.finish(job)
    return [job.record.offset for job in jobs]
