"""A partition that is taken and comes straight back keeps its work in flight."""

from __future__ import annotations

from core_messaging.engine.assignments import AssignmentTable
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import AssignmentState
from core_messaging.rules.job import Job
from core_messaging.rules.message_schedule import MessageSchedule
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("t", 0)
RECORDS = [PlainRecord(0, b"a"), PlainRecord(1, b"a"), PlainRecord(2, b"b")]


def revoked_with_running_work() -> tuple[MessageSchedule, AssignmentTable, list[Job], Committed]:
    """Offsets 0 (key a) and 2 (key b) run when the partition is taken; 1 waits behind 0."""
    schedule = MessageSchedule("key")
    assignment_table = AssignmentTable(schedule)
    assignment_table.assign({SOURCE: None})
    assignment = assignment_table.get(SOURCE)
    assert assignment is not None
    schedule.deliver(assignment, RECORDS)
    running = [job for _ in range(3) if (job := schedule.take())]
    assert [job.record.offset for job in running] == [0, 2]
    assignment_table.drain([SOURCE])
    commit = assignment.progress(owned=False)
    assert commit is not None
    assignment.acknowledge(commit)
    assignment_table.release([assignment], running)
    return schedule, assignment_table, running, commit


def come_back(schedule: MessageSchedule, assignment_table: AssignmentTable, commit: Committed) -> list[int]:
    """Offsets that start when the partition is assigned again and its records come again."""
    assignment_table.assign({SOURCE: commit})
    assignment = assignment_table.get(SOURCE)
    assert assignment is not None
    schedule.deliver(assignment, [r for r in RECORDS if r.offset >= commit.offset])
    started = []
    while (job := schedule.take()) is not None:
        started.append(job.record.offset)
    return started


def committable(assignment_table: AssignmentTable) -> int | None:
    assignment = assignment_table.get(SOURCE)
    assert assignment is not None
    return assignment.committable()


def test_what_still_runs_is_not_started_a_second_time_and_counts() -> None:
    schedule, assignment_table, (first, third), commit = revoked_with_running_work()
    assert come_back(schedule, assignment_table, commit) == []
    assert schedule.finish(third)
    assert committable(assignment_table) == 0
    assert schedule.finish(first)
    follower = schedule.take()  # it kept its place behind the running one, so the key stays in order
    assert follower is not None
    assert follower.record.offset == 1
    assert schedule.finish(follower)
    assert committable(assignment_table) == 3


def test_what_ended_between_the_revoke_and_the_return_is_not_repeated() -> None:
    schedule, assignment_table, (first, third), commit = revoked_with_running_work()
    assert schedule.finish(first)
    assert schedule.finish(third)
    assert come_back(schedule, assignment_table, commit) == [1]
    assert committable(assignment_table) == 1


def test_what_failed_in_between_is_started_again() -> None:
    # Its retry was refused because the partition was going; waiting for it would be waiting for ever.
    schedule, assignment_table, (first, _), commit = revoked_with_running_work()
    schedule.retry(first, 10.0)
    assert come_back(schedule, assignment_table, commit) == [0]


def test_somebody_elses_commit_in_between_makes_late_results_count_for_nothing() -> None:
    schedule, assignment_table, (first, third), commit = revoked_with_running_work()
    assert come_back(schedule, assignment_table, Committed(commit.offset, "somebody else was here")) == [0, 2]
    assert first.assignment.state is AssignmentState.FENCED
    assert not schedule.finish(first)
    assert not schedule.finish(third)
    assert committable(assignment_table) == 0


def test_a_partition_that_does_not_come_back_is_fenced() -> None:
    schedule, assignment_table, (first, _), _ = revoked_with_running_work()
    assignment_table.assign({})
    assert not schedule.finish(first)


def test_what_was_finished_and_not_committed_is_known_when_the_partition_comes_back() -> None:
    # A handler that holds up the event loop for longer than the session is thrown out of its group each time: its
    # message was run for ever.
    schedule = MessageSchedule("key")
    assignment_table = AssignmentTable(schedule)
    assignment_table.assign({SOURCE: None})
    first = assignment_table.get(SOURCE)
    assert first is not None
    schedule.deliver(first, RECORDS)
    commit = first.progress()
    assert commit is not None
    first.acknowledge(commit)
    while (job := schedule.take()) is not None:
        if job.record.offset != 1:
            schedule.finish(job)
    first.blocked_keys.add(b"b")
    assignment_table.fence([SOURCE])
    assert come_back(schedule, assignment_table, commit) == [1]
    second = assignment_table.get(SOURCE)
    assert second is not None
    assert b"b" in second.blocked_keys


def test_what_was_finished_is_not_believed_where_somebody_else_had_the_partition() -> None:
    schedule, assignment_table, _, commit = revoked_with_running_work()
    assert come_back(schedule, assignment_table, Committed(commit.offset, "1:somebody else's")) == [0, 2]
