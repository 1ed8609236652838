"""What a snapshot says of one partition."""

from __future__ import annotations

from core_messaging.engine.portrait import of_partition
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from tests.unit.rules.records import PlainRecord


def test_lag_counts_what_was_delivered_after_the_broker_was_asked_for_the_end() -> None:
    # A worker that stopped ten seconds after its start said "lag 0" with two messages unfinished.
    assignment = Assignment(TopicPartition("t", 0), 1)
    assignment.begin_at(0)
    assignment.deliver([PlainRecord(0, b"a"), PlainRecord(1, b"b")])
    assert of_partition(assignment, 0).lag == 2
    assert of_partition(assignment, 5).lag == 5
    assert of_partition(assignment, None).lag is None
