from __future__ import annotations

import logging
from typing import Any

import pytest
from core_messaging_plugins.outcome_log import OutcomeLog

from core_messaging.records import TopicPartition
from core_messaging.snapshot import (
    COUNTERS,
    Condition,
    Histogram,
    PartitionSnapshot,
    Snapshot,
    WorkerSnapshot,
)


def snapshot(end: int | None = 7, **counters: int) -> Snapshot:
    partition = PartitionSnapshot(
        committed=4, delivered=6, end=end, unfinished=2, blocked=0, oldest_timestamp=None
    )
    worker: Any = WorkerSnapshot(
        name="Mail",
        group_id="mail",
        condition=Condition.RUNNING,
        reason="",
        counters=dict.fromkeys(COUNTERS, 0) | counters,
        running=0,
        waiting_retries=2,
        latency=Histogram((), (), 0.0),
        partitions={TopicPartition("mail", 0): partition},
    )
    return Snapshot(0.0, (worker,))


def test_it_tells_what_came_since_the_last_line_and_nothing_when_nothing_did(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = OutcomeLog()
    with caplog.at_level(logging.INFO):
        plugin.metrics(snapshot())
        plugin.metrics(snapshot(succeeded=1_200, retried=3))
        plugin.metrics(snapshot(succeeded=1_200, retried=3))
        plugin.metrics(snapshot(succeeded=1_300, retried=3, dead_lettered=1))
        plugin.metrics(snapshot(None, succeeded=1_301, retried=3, dead_lettered=1))
    assert [record.getMessage() for record in caplog.records] == [
        "Mail: 1,200 done, 3 retried, 2 waiting for a retry, lag 3",
        "Mail: 100 done, 1 dead-lettered, 2 waiting for a retry, lag 3",
        # It said "lag 0" where nobody had asked the broker, or the worker had left its group with work undone.
        "Mail: 1 done, 2 waiting for a retry",
    ]
