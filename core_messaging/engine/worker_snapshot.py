"""Makes the snapshot of a worker at one moment from the parts of its engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core_messaging.engine.components import Components
from core_messaging.engine.counters import LATENCY_BOUNDS, Counters
from core_messaging.records import Record, TopicPartition, coordinates_of
from core_messaging.rules.assignment import Assignment, AssignmentState
from core_messaging.rules.condition import Facts, judge
from core_messaging.rules.job import Job
from core_messaging.snapshot import Histogram, PartitionSnapshot, WorkerSnapshot


@dataclass(frozen=True, slots=True)
class BrokerView:
    """What was last heard of the broker and its client: the end offsets, and where fetching goes on."""

    ends: Mapping[TopicPartition, int]
    positions: Mapping[TopicPartition, int]

    def behind(self, assignment: Assignment) -> int:
        """Records of *assignment* that the broker has and we have not fetched; 0 where it stands still, as was told."""
        source = assignment.source
        if source not in self.ends or source not in self.positions:
            return 0
        return max(0, self.ends[source] - max(self.positions[source], assignment.delivered or 0))


class WriteTimes:
    """When records were written, in milliseconds since the epoch.

    What has no timestamp (it is -1) counts from when it was seen here first.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seen: dict[str, int] = {}  # of the last snapshot, by coordinates
        self._now: dict[str, int] = {}

    def of(self, record: Record) -> int:
        """Return when *record* was written, in milliseconds since the epoch; without a timestamp, when it was first seen."""
        if record.timestamp >= 0:
            return record.timestamp
        where = coordinates_of(record)
        stamp = self._now[where] = self._seen.get(where, round(self._clock() * 1000))
        return stamp

    def forget_unasked(self) -> None:
        """Forget the records that nothing has asked for since this was called last."""
        self._seen, self._now = self._now, {}


def snapshot_of(
    components: Components, seen: BrokerView, facts: Facts, written: WriteTimes
) -> WorkerSnapshot:
    """The worker now. *seen* is what the broker has told last."""
    condition, reason = judge(facts)
    running = [job.record for job in components.runner_pool.busy(_is_not_fenced)]
    partitions = {
        a.source: partition_snapshot_of(a, seen, written.of, paused=components.is_paused(a.source))
        for a in components.assignment_table.assignments
    }
    oldest = min(map(written.of, running), default=None)
    written.forget_unasked()
    slowest = next(iter(components.runner_pool.held(components.loop.time())), None)
    return WorkerSnapshot(
        name=components.config.name,
        group_id=components.config.group_id,
        condition=condition,
        reason=reason,
        counters=components.counters.by_name(),
        running=facts.running,
        waiting_retries=components.schedule.waiting_retries,
        latency=_histogram(components.counters),
        partitions=partitions,
        oldest_running=oldest,
        slowest=slowest.message if slowest else "",
        slowest_seconds=slowest.seconds if slowest else 0.0,
    )


def _is_not_fenced(job: Job) -> bool:
    return job.assignment.state is not AssignmentState.FENCED


def _dated(record: Record) -> int | None:
    return record.timestamp if record.timestamp >= 0 else None


def _histogram(counters: Counters) -> Histogram:
    return Histogram(LATENCY_BOUNDS, tuple(counters.latency), counters.latency_sum)


def partition_snapshot_of(
    assignment: Assignment,
    seen: BrokerView,
    written: Callable[[Record], int | None] = _dated,
    *,
    paused: bool = False,
) -> PartitionSnapshot:
    """One partition now. Records that were delivered since the broker was asked are beyond the end that it told."""
    oldest, end = assignment.oldest(), seen.ends.get(assignment.source)
    reached = [at for at in (seen.positions.get(assignment.source), assignment.delivered) if at is not None]
    return PartitionSnapshot(
        committed=assignment.committable(),
        delivered=max(reached, default=None),
        end=None if end is None else max([end, *reached]),
        unfinished=assignment.unfinished,
        blocked=assignment.retries.waiting,
        oldest_timestamp=None if oldest is None else written(oldest),
        paused=paused,
    )
