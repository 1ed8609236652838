"""Which paused partitions lose messages soon."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import TopicPartition
from core_messaging.rules.paused_retention import PausedPartition, at_risk, old_before, paused_partitions
from core_messaging.snapshot import Condition, Histogram, PartitionSnapshot, WorkerSnapshot

SOURCE = TopicPartition("orders", 0)
PAUSED = PartitionSnapshot(
    committed=5, delivered=7, end=10, unfinished=0, blocked=0, oldest_timestamp=None, paused=True
)


def worker(partition: PartitionSnapshot) -> WorkerSnapshot:
    return WorkerSnapshot(
        name="W",
        group_id="g",
        condition=Condition.PAUSED,
        reason="",
        counters={},
        running=0,
        waiting_retries=0,
        latency=Histogram((), (), 0.0),
        partitions={SOURCE: partition},
    )


def test_a_paused_partition_is_unread_from_where_its_worker_goes_on() -> None:
    assert paused_partitions([worker(PAUSED)]) == [PausedPartition("W", SOURCE, 7)]
    never_fetched = dataclasses.replace(PAUSED, delivered=None)
    assert paused_partitions([worker(never_fetched)]) == [PausedPartition("W", SOURCE, 5)]


@pytest.mark.parametrize(
    "changes", [{"paused": False}, {"end": None}, {"end": 7}, {"delivered": None, "committed": None}], ids=str
)
def test_what_runs_has_no_unread_message_or_is_not_known_is_left_out(changes: dict[str, object]) -> None:
    assert paused_partitions([worker(dataclasses.replace(PAUSED, **changes))]) == []  # type: ignore[arg-type]


@given(st.integers(0, 100), st.none() | st.integers(0, 100))
def test_a_partition_is_at_risk_while_its_first_unread_message_is_old(unread: int, young: int | None) -> None:
    each = PausedPartition("W", SOURCE, unread)
    found = at_risk([each], {} if young is None else {SOURCE: young})
    assert (found == [each]) == (young is None or unread < young)  # no young one: all are old


def test_a_message_is_old_when_most_of_its_retention_is_over() -> None:
    assert old_before(1_000.0, 5_000.0) == 4_200.0
