"""Messages without a job: what is finished, what waits, and what gets a job in the end."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.message_schedule import STREAK, MessageSchedule
from core_messaging.rules.streak import Streak
from tests.unit.rules.records import PlainRecord


def begun(count: int, keys: int = 1000) -> tuple[MessageSchedule, Assignment, Streak]:
    """A streak of a partition with *count* messages."""
    schedule, assignment = MessageSchedule("key"), Assignment(TopicPartition("t", 0), 1)
    schedule.deliver(assignment, [PlainRecord(n, b"%d" % (n % keys)) for n in range(count)])
    streak = schedule.begin_streak()
    assert streak is not None
    return schedule, assignment, streak


@given(count=st.integers(1, 20), wanted=st.integers(1, 20))
def test_messages_that_were_taken_are_finished_and_no_others(count: int, wanted: int) -> None:
    schedule, assignment, streak = begun(count)
    taken = len(list(islice(streak.records, wanted)))
    streak.finish()
    assert streak.finished == taken == min(count, wanted)
    assert assignment.committable() == taken
    assert schedule.fresh == count - taken


def test_the_last_message_gets_a_job_and_those_before_it_are_finished() -> None:
    schedule, assignment, streak = begun(5)
    for _ in range(3):
        next(streak.records)
    job = streak.stop()
    assert (job.record.offset, job.lane, streak.finished) == (2, b"2", 2)
    assert assignment.committable() == 2
    assert job.lane in streak.busy
    assert schedule.finish(job)
    assert assignment.committable() == 3


def test_a_message_of_a_busy_lane_waits_behind_the_one_that_holds_it() -> None:
    schedule, _, streak = begun(3, keys=1)
    next(streak.records)
    job = streak.stop()
    for _, record in streak.records:
        assert record is not None
        assert streak.lane_of(record) in streak.busy
        streak.pass_over()
    assert streak.finished == 0
    assert schedule.take() is None
    for offset in (1, 2):
        schedule.finish(job)
        following = schedule.take()
        assert following is not None
        job = following
        assert job.record.offset == offset


def test_a_partition_starts_so_many_messages_in_its_turn_and_then_the_next_one_has_its_turn() -> None:
    schedule = MessageSchedule("none")
    for number in range(2):
        assignment = Assignment(TopicPartition("t", number), 1)
        schedule.deliver(assignment, [PlainRecord(offset) for offset in range(2 * STREAK)])
    order = []
    while (streak := schedule.begin_streak()) is not None:
        order.append((streak.assignment.source.partition, len(list(streak.records))))
        streak.finish()
    assert order == [(0, STREAK), (1, STREAK), (0, STREAK), (1, STREAK)]


def test_after_the_schedule_is_closed_a_streak_has_no_further_message() -> None:
    # A handler that forks goes on in the child too, and the child's copy of the schedule is closed.
    schedule, _, streak = begun(5)
    next(streak.records)
    schedule.close()
    assert list(streak.records) == []


def test_to_stop_where_nothing_was_taken_is_a_bug_and_says_so() -> None:
    _, _, streak = begun(1)
    next(streak.records)
    streak.finish()
    with pytest.raises(AssertionError, match="please report this"):
        streak.stop()
