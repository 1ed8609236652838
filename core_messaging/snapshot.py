"""What a run looks like at one moment, in numbers: the argument of the ``metrics`` hook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from core_messaging.records import TopicPartition


def _counter(counts: str, unit: str = "message") -> Any:
    return field(default=0, metadata={"counts": counts, "unit": unit})


@dataclass(slots=True)
class CounterValues:
    """What a worker has counted since its start. The names, and what each counts, are written here and nowhere else:
    snapshots, metrics and log lines take them from here.

    An attempt is one message that the handler is given once: a batch of eight messages that is called is eight attempts.
    """

    fetched: int = _counter("Messages fetched")
    started: int = _counter("Attempts started")
    succeeded: int = _counter(
        "Messages processed, and their results acknowledged where there is an output topic"
    )
    failed: int = _counter("Attempts that raised")
    retried: int = _counter(
        "Attempts that raised and are followed by another one, also in a half of their batch"
    )
    exhausted: int = _counter("Messages that failed for good, or whose result cannot be published")
    undecodable: int = _counter("Messages that could not be decoded; not tried")
    followed: int = _counter(
        "Messages not tried, because an earlier one of their key is in the dead-letter queue"
    )
    cleared: int = _counter("Records that lifted the block of their key and asked to be dropped; not tried")
    dead_lettered: int = _counter("Messages acknowledged by the dead-letter queue")
    published: int = _counter("Results acknowledged by the output topic")
    dropped: int = _counter(
        "Messages whose partition was gone when their attempt, or what followed it, was over"
    )
    hook_errors: int = _counter("Failures of the worker's own on_success, on_error or on_undecodable", "call")
    commits: int = _counter("Commits acknowledged", "commit")
    commit_failures: int = _counter("Commits refused or not answered", "commit")

    def by_name(self) -> dict[str, int]:
        """Name of each counter -> its value."""
        return {name: getattr(self, name) for name in COUNTERS}


# Name of each counter -> what it counts, and its unit as OpenTelemetry writes it.
COUNTERS: Mapping[str, str] = {each.name: each.metadata["counts"] for each in fields(CounterValues)}
COUNTER_UNITS: Mapping[str, str] = {
    each.name: f"{{{each.metadata['unit']}}}" for each in fields(CounterValues)
}


class Condition(Enum):
    """How a worker is. Only STUCK means that a restart may help."""

    STARTING = "starting"  # has not been assigned anything yet
    RUNNING = "running"
    REBALANCING = "rebalancing"  # healthy for a bounded time
    DRAINING = "draining"  # finishes what it holds, takes nothing new
    DEGRADED = "degraded"  # the broker does not answer; what is at hand goes on
    BLOCKED = "blocked"  # all messages at hand have waited for retries, or for a topic, for ``blocked_after`` seconds
    STUCK = "stuck"  # an attempt runs longer than its limit, or nothing is fetched though there is something


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
    """One assigned partition. ``end`` is None until the broker has told it; ``delivered`` is where the next record
    comes from, None until that is known; ``blocked`` counts messages that wait for a retry or behind one."""

    committed: int | None
    delivered: int | None
    end: int | None
    unfinished: int
    blocked: int
    oldest_timestamp: (
        int | None
    )  # of the first unfinished message, milliseconds since the epoch; None: there is none

    @property
    def lag(self) -> int | None:
        """Messages between the first unfinished one and the end of the partition."""
        # Where nothing is unfinished, what lies between the two is no message: the end of a transaction, say.
        start = self.committed if self.unfinished else self.delivered
        if self.end is None or start is None:
            return None
        return max(0, self.end - start)

    @property
    def useful_lag(self) -> int | None:
        """Messages that somebody could work on now: those that are still to come, and those at hand that do not wait
        for a retry, or behind one. What is finished beyond an unfinished one is in the lag, and not in this."""
        if self.end is None or self.delivered is None:
            return None
        return max(0, self.end - self.delivered) + max(0, self.unfinished - self.blocked)


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker of this process. Counters only grow; the names are those of the Prometheus metrics."""

    name: str  # no other worker of the process has it: ``package:Name`` where two would
    group_id: str
    condition: Condition
    reason: str  # what a person should know about the condition; empty when all is well
    counters: Mapping[str, int]
    running: int
    waiting_retries: int
    latency: Histogram
    partitions: Mapping[TopicPartition, PartitionSnapshot]
    oldest_running: int | None = (
        None  # of the messages in a handler: when it was written, milliseconds since the epoch
    )

    @property
    def in_flight(self) -> int:
        """Messages fetched and not finished."""
        return sum(partition.unfinished for partition in self.partitions.values())

    @property
    def lag(self) -> int | None:
        """None while it is not known of every partition."""
        return self._sum(partition.lag for partition in self.partitions.values())

    @property
    def useful_lag(self) -> int | None:
        """Lag that another member could work on; None while it is not known of every partition.

        For autoscalers: a key that fails for ever must not scale the group to its maximum for nothing.
        """
        return self._sum(partition.useful_lag for partition in self.partitions.values())

    def _sum(self, numbers: Iterable[int | None]) -> int | None:
        known = list(numbers)
        # Without a partition in the group there is no lag; without a group nobody knows.
        unknown = None in known or not (known or self.condition is Condition.RUNNING)
        return None if unknown else sum(number or 0 for number in known)

    def oldest_unfinished_age(self, now: float) -> float | None:
        """Seconds since the oldest unfinished message was written (where it says so; else since it was seen first); *now* in
        seconds since the epoch. None out of the group: nobody knows what waits there."""
        told = [self.oldest_running, *(p.oldest_timestamp for p in self.partitions.values())]
        stamps = [stamp for stamp in told if stamp is not None]
        if stamps:
            return max(0.0, now - min(stamps) / 1000)
        return 0.0 if self.partitions or self.condition is Condition.RUNNING else None


@dataclass(frozen=True, slots=True)
class HookCalls:
    """One plugin's implementation of one hook, since the start. ``seconds``: its own time of all calls together, without
    that of the handler where it wraps one."""

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
