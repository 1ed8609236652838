"""A worker at one moment, from the engine's parts."""

from __future__ import annotations

from collections.abc import Mapping

from core_messaging.engine.counts import LATENCY_BOUNDS, Counts
from core_messaging.engine.parts import Parts
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.condition import Facts, judge
from core_messaging.snapshot import Histogram, PartitionSnapshot, WorkerSnapshot

# Names of the counters, without "_total": what Counts counts that concerns people.
COUNTERS = (
    "fetched",
    "started",
    "succeeded",
    "failed",
    "retried",
    "exhausted",
    "dead_lettered",
    "undecodable",
    "published",
    "dropped",
    "hook_errors",
    "commits",
    "commit_failures",
)


def portrait(parts: Parts, ends: Mapping[TopicPartition, int], facts: Facts) -> WorkerSnapshot:
    """*ends*: the end offsets last heard of."""
    condition, reason = judge(facts)
    return WorkerSnapshot(
        name=parts.config.name,
        group_id=parts.config.group_id,
        condition=condition,
        reason=reason,
        counters={name: getattr(parts.counts, name) for name in COUNTERS},
        running=facts.running,
        waiting_retries=parts.schedule.waiting_retries,
        latency=_histogram(parts.counts),
        partitions={a.source: of_partition(a, ends.get(a.source)) for a in parts.roster.assignments},
    )


def _histogram(counts: Counts) -> Histogram:
    return Histogram(LATENCY_BOUNDS, tuple(counts.latency), counts.latency_sum)


def of_partition(assignment: Assignment, end: int | None) -> PartitionSnapshot:
    """*end*: as the broker said some seconds ago; what was delivered since lies beyond it."""
    oldest = assignment.oldest()
    if end is not None:
        end = max(end, assignment.delivered or 0)
    return PartitionSnapshot(
        committed=assignment.committable(),
        delivered=assignment.delivered,
        end=end,
        unfinished=assignment.unfinished,
        blocked=assignment.held,
        oldest_timestamp=oldest.timestamp if oldest is not None else None,
    )
