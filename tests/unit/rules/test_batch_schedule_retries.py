"""Retries of an earlier owner that come again: whoever has the partition now keeps the order of each key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.batch_schedule import BatchSchedule
from tests.unit.rules.records import PlainRecord

SIZE = 10


def tried_before(dues: list[float]) -> Assignment:
    """What the owner before has tried once; the retry of each offset is due at its place in *dues*."""
    assignment = Assignment(TopicPartition("t", 0), 2)
    assignment.retries.inherit(dict.fromkeys(range(len(dues)), 2), dict(enumerate(dues)))
    return assignment


@given(dues=st.lists(st.floats(1, 9), min_size=2, max_size=6))
def test_a_retry_that_is_due_first_does_not_overtake_an_earlier_one_of_its_key(dues: list[float]) -> None:
    schedule = BatchSchedule("key", SIZE, 0.0)
    schedule.deliver(tried_before(dues), [PlainRecord(offset, b"key") for offset in range(len(dues))])
    started: list[int] = []
    for now in sorted(dues):
        schedule.release(now)
        while (batch := schedule.take(now)) is not None:
            started += [job.record.offset for job in batch.jobs]
            for job in batch.jobs:
                schedule.finish(job)
    assert started == list(range(len(dues)))


@given(due=st.floats(1, 9), later=st.floats(0, 9))
def test_a_retry_does_not_overtake_an_earlier_message_of_its_key_that_runs(due: float, later: float) -> None:
    schedule = BatchSchedule("key", SIZE, 0.0)
    assignment = tried_before([0.0, due])
    assignment.retries.due_time(0, 0.0, lambda attempt: 0.0)  # the first has come, and is due
    schedule.deliver(assignment, [PlainRecord(0, b"key")])
    running = schedule.take(0.0)
    assert running is not None
    schedule.deliver(assignment, [PlainRecord(1, b"key")], 0.5)
    schedule.release(due)
    assert schedule.take(due) is None
    schedule.again(running.jobs, due + later)
    schedule.release(due + later)
    again = schedule.take(due + later)
    assert again is not None
    assert [job.record.offset for job in again.jobs] == [0]
    assert schedule.take(due + later) is None


@given(dues=st.lists(st.floats(1, 9), min_size=1, max_size=6), meant=st.sets(st.integers(0, 5)))
def test_hastened_retries_are_tried_now_and_the_others_wait(dues: list[float], meant: set[int]) -> None:
    schedule = BatchSchedule("key", SIZE, 0.0)
    records = [PlainRecord(offset, b"key %d" % offset) for offset in range(len(dues))]
    schedule.deliver(tried_before(dues), records)
    count = schedule.hasten(lambda job: job.record.offset in meant, 0.5)
    schedule.release(0.5)
    started: list[int] = []
    while (batch := schedule.take(0.5)) is not None:
        started += [job.record.offset for job in batch.jobs]
        for job in batch.jobs:
            schedule.finish(job)
    together = {due for offset, due in enumerate(dues) if offset in meant}  # those of one time are one batch
    assert sorted(started) == [offset for offset, due in enumerate(dues) if due in together]
    assert count == len(started) == len(dues) - schedule.waiting_retries
