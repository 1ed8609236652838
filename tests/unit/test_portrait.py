"""What a snapshot says of one partition, and of a worker."""

from __future__ import annotations

from typing import Any

import pytest

from core_messaging.engine.portrait import COUNTERS, Seen, of_partition
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.snapshot import Condition, Histogram, PartitionSnapshot, WorkerSnapshot
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("t", 0)


def seen(end: int | None = None, position: int | None = None) -> Seen:
    return Seen({} if end is None else {SOURCE: end}, {} if position is None else {SOURCE: position})


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
    assignment.begin_at(0)
    assignment.deliver([PlainRecord(0, b"a"), PlainRecord(1, b"b")])
    assert of_partition(assignment, seen(0)).lag == 2
    assert of_partition(assignment, seen(5)).lag == 5
    assert of_partition(assignment, seen()).lag is None


def test_one_bad_key_is_in_the_lag_and_not_in_what_another_member_could_work_on() -> None:
    # What was finished behind it was in both, so the longer it waited the more members an autoscaler started.
    assignment = Assignment(SOURCE, 1)
    chunk = assignment.deliver([PlainRecord(offset, b"%d" % offset) for offset in range(5_000)])
    for index in range(1, 5_000):
        chunk.finish(index)
    assignment.held = 1
    told = of_partition(assignment, seen(5_000))
    assert (told.lag, told.useful_lag) == (5_000, 0)
    assert of_partition(assignment, seen(5_007)).useful_lag == 7


@pytest.mark.parametrize("committed", [None, Committed(3, "")])
def test_what_is_no_record_is_no_lag_and_nothing_to_fetch(committed: Committed | None) -> None:
    # The end of a transaction, what retention has deleted, or all that is older than "latest": the worker was called
    # stuck after a minute, and whoever asks /livez restarted it for ever.
    assignment = Assignment(SOURCE, 1, committed)
    assert of_partition(assignment, seen(9, 9)).lag == 0
    assert seen(9, 9).behind(assignment) == 0
    assert seen(9, 4).behind(assignment) == 5
    # One that stands still has no position: that was told, and is no reason to restart the others with it.
    assert seen(9).behind(assignment) == 0


def test_no_lag_is_told_before_it_is_known() -> None:
    # 0 tells an autoscaler to stop members.
    known = of_partition(Assignment(SOURCE, 1, Committed(3, "")), seen(9, 3))
    unknown = of_partition(Assignment(SOURCE, 1, Committed(3, "")), seen())
    assert worker_of(Condition.RUNNING, known).lag == 6
    assert worker_of(Condition.RUNNING, known).useful_lag == 6
    assert worker_of(Condition.RUNNING, known, unknown).lag is None
    assert worker_of(Condition.RUNNING, known, unknown).useful_lag is None
    assert worker_of(Condition.RUNNING).lag == 0  # the group has more members than partitions
    assert worker_of(Condition.DEGRADED).lag is None
    assert worker_of(Condition.STARTING).useful_lag is None
