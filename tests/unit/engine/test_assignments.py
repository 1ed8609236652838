"""Which partitions a member has, and that results of those it has lost count for nothing."""

from __future__ import annotations

from core_messaging.engine.assignments import AssignmentTable
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.message_schedule import MessageSchedule
from tests.unit.rules.records import PlainRecord

FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)


def table() -> tuple[AssignmentTable, MessageSchedule]:
    schedule = MessageSchedule("key")
    return AssignmentTable(schedule), schedule


def held(found: AssignmentTable, source: TopicPartition) -> Assignment:
    assignment = found.get(source)
    assert assignment is not None
    return assignment


def test_partitions_that_are_assigned_come_to_those_that_the_member_has_already() -> None:
    found, _ = table()
    found.assign({FIRST: None})
    kept = held(found, FIRST)
    found.assign({SECOND: Committed(4)})
    assert found.sources == (FIRST, SECOND)
    assert held(found, FIRST) is kept


def test_a_partition_that_is_assigned_again_is_another_assignment_of_a_later_epoch() -> None:
    # A late result of the first one must not meet the second one.
    found, _ = table()
    found.assign({FIRST: None})
    first = held(found, FIRST)
    found.assign({FIRST: None})
    second = held(found, FIRST)
    assert second is not first
    assert second.epoch > first.epoch


def test_a_partition_that_is_drained_starts_nothing_more_and_may_finish_what_runs() -> None:
    found, schedule = table()
    found.assign({FIRST: None})
    schedule.deliver(held(found, FIRST), [PlainRecord(0, b"a"), PlainRecord(1, b"b")])
    running = schedule.take()
    assert running is not None
    assert found.drain([FIRST, SECOND]) == [held(found, FIRST)]
    assert schedule.take() is None
    assert schedule.finish(running)
    found.fence([FIRST, SECOND])
    assert found.sources == ()
    assert not schedule.finish(running)
