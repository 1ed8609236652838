"""The state of all workers at one moment, in numbers: the argument of the ``metrics`` hook."""

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
    """The counters of a worker since its start.

    Their names, and what each counts, are written only here: snapshots and metrics take them from here. The plugin
    ``outcome_log`` and the last line of a worker name those that they show.

    An attempt is one message that the handler gets once: a call with a batch of eight messages is eight attempts.
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
        """Return the value of each counter, by name."""
        return {name: getattr(self, name) for name in COUNTERS}


# Name of each counter -> what it counts, and its unit as OpenTelemetry writes it.
COUNTERS: Mapping[str, str] = {each.name: each.metadata["counts"] for each in fields(CounterValues)}
COUNTER_UNITS: Mapping[str, str] = {
    each.name: f"{{{each.metadata['unit']}}}" for each in fields(CounterValues)
}


class Condition(Enum):
    """The condition of a worker. Only STUCK means that a restart may help."""

    STARTING = "starting"  # it has no partitions yet
    RUNNING = "running"
    REBALANCING = "rebalancing"  # healthy for a limited time
    PAUSED = "paused"  # a person, or its dlq_limit, has paused all of its partitions; the process is well
    DRAINING = "draining"  # finishes running messages, starts no new ones
    DEGRADED = "degraded"  # the broker does not answer; messages in memory are processed
    BLOCKED = "blocked"  # all messages at hand have waited for retries, or for a topic, for ``blocked_after`` seconds
    STUCK = "stuck"  # an attempt runs longer than its limit, or nothing is fetched though there is something


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long attempts took.

    ``counts[i]`` attempts took at most ``bounds[i]`` seconds, and more than the bound before. The last count is of those
    beyond all bounds. ``total``: the sum of all, in seconds.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """The number of attempts."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class PartitionSnapshot:
    """One assigned partition.

    ``committed``: the committed offset. ``delivered``: the offset of the next record, None until it is known. ``end``: the
    offset after the last record, None until the broker has told it. ``unfinished``: messages that were fetched and are not
    finished. ``blocked``: those of them that wait for a retry, or behind one. ``oldest_timestamp``: of the first unfinished
    message, in milliseconds since the epoch; None if there is none. ``paused``: by a person, with ``core kafka pause``.
    """

    committed: int | None
    delivered: int | None
    end: int | None
    unfinished: int
    blocked: int
    oldest_timestamp: int | None
    paused: bool = False

    @property
    def lag(self) -> int | None:
        """Messages from the first unfinished one to the end of the partition; None while that is not known."""
        # If nothing is unfinished, there is no message between the two, but for example the end of a transaction.
        start = self.committed if self.unfinished else self.delivered
        if self.end is None or start is None:
            return None
        return max(0, self.end - start)

    @property
    def useful_lag(self) -> int | None:
        """Messages that a worker could process now; None while that is not known.

        These are the messages not fetched yet, and fetched ones that do not wait for a retry, or behind one. Messages that
        are finished after an unfinished one count in ``lag``, but not here. In a partition that a person has paused, only fetched messages count.
        """
        if self.end is None or self.delivered is None:
            return None
        if self.paused:
            return max(0, self.unfinished - self.blocked)
        return max(0, self.end - self.delivered) + max(0, self.unfinished - self.blocked)


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker of this process. Counters only grow; their names are those of the Prometheus metrics.

    ``running``: messages in a handler. ``waiting_retries``: messages that wait for a retry.
    """

    name: str  # unique in the process: ``package:Name`` if two workers have the same name
    group_id: str
    condition: Condition
    reason: str  # why the condition is not good; "" if it is
    counters: Mapping[str, int]
    running: int
    waiting_retries: int
    latency: Histogram
    partitions: Mapping[TopicPartition, PartitionSnapshot]
    # When the oldest message in a handler was written, in milliseconds since the epoch; None if none runs.
    oldest_running: int | None = None
    # The coordinates of the message that is in a handler longest, and for how many seconds; "" if none runs.
    slowest: str = ""
    slowest_seconds: float = 0.0

    @property
    def in_flight(self) -> int:
        """Messages fetched and not finished."""
        return sum(partition.unfinished for partition in self.partitions.values())

    @property
    def lag(self) -> int | None:
        """The lag of all partitions together; None while it is not known for each of them."""
        return self._sum(partition.lag for partition in self.partitions.values())

    @property
    def useful_lag(self) -> int | None:
        """The useful lag of all partitions together; None while it is not known for each of them.

        It is meant for autoscalers: a key that always fails must not scale the group to its maximum, which would not help.
        """
        return self._sum(partition.useful_lag for partition in self.partitions.values())

    def _sum(self, numbers: Iterable[int | None]) -> int | None:
        known = list(numbers)
        # A member of the group without a partition has no lag. Outside of the group, the lag is not known.
        unknown = None in known or not (known or self.condition is Condition.RUNNING)
        return None if unknown else sum(number or 0 for number in known)

    def oldest_unfinished_age(self, now: float) -> float | None:
        """Return the age of the oldest unfinished message in seconds, 0 if there is none; None outside of the group.

        The age counts from when the message was written; without a timestamp, from when it was first seen. *now*: seconds
        since the epoch.
        """
        told = [self.oldest_running, *(p.oldest_timestamp for p in self.partitions.values())]
        stamps = [stamp for stamp in told if stamp is not None]
        if stamps:
            return max(0.0, now - min(stamps) / 1000)
        return 0.0 if self.partitions or self.condition is Condition.RUNNING else None


@dataclass(frozen=True, slots=True)
class HookCalls:
    """The calls of one plugin's implementation of one hook, since the start.

    ``seconds``: its own time in all calls together, without that of a handler that it wraps.
    """

    plugin: str
    hook: str
    calls: int
    failures: int
    seconds: float
    switched_off: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All workers of this process.

    ``time``: seconds since the epoch. ``degraded``: names workers that should run and do not. ``hooks``: the calls, times and
    failures of the plugins.
    """

    time: float
    workers: tuple[WorkerSnapshot, ...]
    degraded: tuple[str, ...] = ()
    hooks: tuple[HookCalls, ...] = ()
