"""What a snapshot says of one partition, and of a worker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core_messaging.engine.assignments import AssignmentTable
from core_messaging.engine.worker_snapshot import BrokerView, WriteTimes, partition_snapshot_of
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.message_schedule import MessageSchedule
from core_messaging.snapshot import COUNTERS, Condition, Histogram, PartitionSnapshot, WorkerSnapshot
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("t", 0)


def seen(end: int | None = None, position: int | None = None) -> BrokerView:
    return BrokerView({} if end is None else {SOURCE: end}, {} if position is None else {SOURCE: position})


def worker_of(condition: Condition, *partitions: PartitionSnapshot) -> WorkerSnapshot:
    facts: dict[str, Any] = {"reason": "", "running": 0, "waiting_retries": 0}
    return WorkerSnapshot(
        name="w",
        group_id="g",
        condition=condition,
        counters=dict.fromkeys(COUNTERS, 0),
        latency=Histogram((), (), 0.0),
        partitions={TopicPartition("t", number): each for number, each in enumerate(partitions)},
        **facts,
    )


def test_lag_counts_what_was_delivered_after_the_broker_was_asked_for_the_end() -> None:
    # A worker that stopped ten seconds after its start said "lag 0" with two messages unfinished.
    assignment = Assignment(SOURCE, 1)
    assignment.offsets.begin_at(0)
    assignment.deliver([PlainRecord(0, b"a"), PlainRecord(1, b"b")])
    assert partition_snapshot_of(assignment, seen(0)).lag == 2
    assert partition_snapshot_of(assignment, seen(5)).lag == 5
    assert partition_snapshot_of(assignment, seen()).lag is None


def test_one_bad_key_is_in_the_lag_and_not_in_what_another_member_could_work_on() -> None:
    # What was finished behind it was in both, so the longer it waited the more members an autoscaler started.
    assignment = Assignment(SOURCE, 1)
    chunk = assignment.deliver([PlainRecord(offset, b"%d" % offset) for offset in range(5_000)])
    for index in range(1, 5_000):
        chunk.finish(index)
    assignment.retries.add_waiting(1)
    told = partition_snapshot_of(assignment, seen(5_000))
    assert (told.lag, told.useful_lag) == (5_000, 0)
    assert partition_snapshot_of(assignment, seen(5_007)).useful_lag == 7


@pytest.mark.parametrize("committed", [None, Committed(3, "")])
def test_what_is_no_record_is_no_lag_and_nothing_to_fetch(committed: Committed | None) -> None:
    # The end of a transaction, what retention has deleted, or all that is older than "latest": the worker was called
    # stuck after a minute, and whoever asks /livez restarted it for ever.
    assignment = Assignment(SOURCE, 1, committed)
    assert partition_snapshot_of(assignment, seen(9, 9)).lag == 0
    assert seen(9, 9).behind(assignment) == 0
    assert seen(9, 4).behind(assignment) == 5
    # One that stands still has no position: that was told, and is no reason to restart the others with it.
    assert seen(9).behind(assignment) == 0


def test_no_lag_is_told_before_it_is_known() -> None:
    # 0 tells an autoscaler to stop members.
    known = partition_snapshot_of(Assignment(SOURCE, 1, Committed(3, "")), seen(9, 3))
    unknown = partition_snapshot_of(Assignment(SOURCE, 1, Committed(3, "")), seen())
    assert worker_of(Condition.RUNNING, known).lag == 6
    assert worker_of(Condition.RUNNING, known).useful_lag == 6
    assert worker_of(Condition.RUNNING, known, unknown).lag is None
    assert worker_of(Condition.RUNNING, known, unknown).useful_lag is None
    assert worker_of(Condition.RUNNING).lag == 0  # the group has more members than partitions
    assert worker_of(Condition.DEGRADED).lag is None
    assert worker_of(Condition.STARTING).useful_lag is None


def test_what_still_runs_after_a_partition_came_straight_back_has_an_age_and_is_not_revoked() -> None:
    # The age that operators are told to alert on was 0 with four messages under way.
    schedule = MessageSchedule("key")
    assignment_table = AssignmentTable(schedule)
    assignment_table.assign({SOURCE: Committed(0)})
    first = assignment_table.get(SOURCE)
    assert first is not None
    records = [PlainRecord(0, b"a", timestamp=7_000), PlainRecord(1, b"b", timestamp=9_000)]
    schedule.deliver(first, records)
    running = [job for _ in range(2) if (job := schedule.take())]
    assignment_table.drain([SOURCE])
    assert all(job.assignment.is_gone for job in running)
    commit = first.progress(owned=False)
    assert commit is not None
    first.acknowledge(commit)
    assignment_table.release([first], running)
    assignment_table.assign({SOURCE: commit})
    second = assignment_table.get(SOURCE)
    assert second is not None
    for _ in range(2):  # before and after its records have come again
        assert partition_snapshot_of(second, seen()).oldest_timestamp == 7_000
        assert not any(job.assignment.is_gone for job in running)
        schedule.deliver(second, records)
    schedule.finish(running[0])
    assert partition_snapshot_of(second, seen()).oldest_timestamp == 9_000
    assignment_table.drain([SOURCE])
    assert running[1].assignment.is_gone


def test_the_age_of_a_message_without_a_timestamp_counts_from_when_it_was_seen_first() -> None:
    # It was 57 years.
    now = 1_000.0
    written = WriteTimes(lambda: now)
    assignment = Assignment(SOURCE, 1)
    assignment.deliver([PlainRecord(0, b"a", timestamp=-1)])
    ages = []
    for _ in range(3):
        told = partition_snapshot_of(assignment, seen(), written.of)
        ages.append(worker_of(Condition.RUNNING, told).oldest_unfinished_age(now))
        written.forget_unasked()
        now += 5
    assert ages == [0.0, 5.0, 10.0]


def test_out_of_the_group_there_is_no_age_and_with_nothing_to_do_it_is_0() -> None:
    idle = partition_snapshot_of(Assignment(SOURCE, 1, Committed(3, "")), seen(3, 3))
    assert worker_of(Condition.RUNNING, idle).oldest_unfinished_age(9.0) == 0.0
    assert worker_of(Condition.RUNNING).oldest_unfinished_age(9.0) == 0.0
    for condition in (Condition.STARTING, Condition.DEGRADED, Condition.REBALANCING):
        assert worker_of(condition).oldest_unfinished_age(9.0) is None
    running = replace(worker_of(Condition.REBALANCING), oldest_running=4_000)
    assert running.oldest_unfinished_age(9.0) == 5.0
