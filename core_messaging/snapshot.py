"""What a run looks like at one moment, in numbers: the argument of the ``metrics`` hook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from core_messaging.records import TopicPartition


class Condition(Enum):
    """How a worker is. Only STUCK means that a restart may help."""

    STARTING = "starting"  # has not been assigned anything yet
    RUNNING = "running"
    REBALANCING = "rebalancing"  # healthy for a bounded time
    DRAINING = "draining"  # finishes what it holds, takes nothing new
    DEGRADED = "degraded"  # the broker does not answer; what is at hand goes on
    BLOCKED = "blocked"  # everything that is left waits for a retry, or for a topic that cannot be written
    STUCK = "stuck"  # a handler runs longer than it should, or nothing is fetched though there is something


@dataclass(frozen=True, slots=True)
class Histogram:
    """``counts[i]`` attempts took at most ``bounds[i]`` seconds (and more than the bound before); the last one
    counts those beyond. ``total`` is the sum of all, in seconds."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class PartitionSnapshot:
    """One assigned partition. ``end`` is None until the broker has told it; ``blocked`` counts messages that
    wait for a retry or behind one."""

    committed: int | None
    delivered: int | None
    end: int | None
    unfinished: int
    blocked: int
    oldest_timestamp: int | None  # of the first unfinished message, milliseconds since the epoch

    @property
    def lag(self) -> int | None:
        """Messages between the commit and the end of the partition."""
        if self.end is None or self.committed is None:
            return None
        return max(0, self.end - self.committed)


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker of this process. Counters only grow; the names are those of the Prometheus metrics."""

    name: str
    group_id: str
    condition: Condition
    reason: str  # what a person should know about the condition; empty when it is running
    counters: Mapping[str, int]
    running: int
    waiting_retries: int
    latency: Histogram
    partitions: Mapping[TopicPartition, PartitionSnapshot]

    @property
    def in_flight(self) -> int:
        """Messages fetched and not finished."""
        return sum(partition.unfinished for partition in self.partitions.values())

    @property
    def lag(self) -> int:
        return sum(partition.lag or 0 for partition in self.partitions.values())

    @property
    def useful_lag(self) -> int:
        """Lag that another member could work on: without messages that only wait for a retry or behind one.

        For autoscalers: a key that fails for ever must not scale the group to its maximum for nothing.
        """
        return sum(max(0, (p.lag or 0) - p.blocked) for p in self.partitions.values())

    def oldest_unfinished_age(self, now: float) -> float:
        """Seconds since the oldest unfinished message was written; *now* in seconds since the epoch."""
        stamps = [p.oldest_timestamp for p in self.partitions.values() if p.oldest_timestamp is not None]
        return max(0.0, now - min(stamps) / 1000) if stamps else 0.0


@dataclass(frozen=True, slots=True)
class HookCalls:
    """One plugin's implementation of one observer hook, since the start; ``seconds`` of all calls together."""

    plugin: str
    hook: str
    calls: int
    failures: int
    seconds: float
    switched_off: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All workers of this process. ``degraded`` names what should run and does not; ``hooks`` is what the plugins
    cost and where they fail. ``time``: seconds since the epoch."""

    time: float
    workers: tuple[WorkerSnapshot, ...]
    degraded: tuple[str, ...] = ()
    hooks: tuple[HookCalls, ...] = ()
