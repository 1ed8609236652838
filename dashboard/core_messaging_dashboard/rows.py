"""What the pages show of workers and processes. Pure: the time is an argument."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core_messaging.operations.fleet import Fleet
from core_messaging.operations.lag import WorkerLag
from core_messaging.rules.fleet_state import ProcessState, WorkerState
from core_messaging_dashboard.watch import Sample
from core_messaging_dashboard.words import points

# From worrying to harmless. The first one that applies colours the row.
ORDER = ("stuck", "blocked", "degraded", "paused", "draining", "rebalancing", "starting", "running")


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker over all processes. ``condition``: the most worrying one; empty where no process says one."""

    name: str
    group: str
    topics: str
    condition: str
    conditions: str
    reason: str
    processes: int
    lag: WorkerLag
    waiting_retries: int | None
    dead_letters: int | None


def worker_rows(lags: Sequence[WorkerLag], fleet: Fleet | None) -> list[WorkerRow]:
    """A row for each worker, the most worrying ones first."""
    rows = [_row(lag, states_of(fleet, lag.worker.group_id, lag.worker.name)) for lag in lags]
    return sorted(rows, key=lambda row: (_rank(row.condition), row.name))


def states_of(fleet: Fleet | None, group: str, name: str) -> list[tuple[ProcessState, WorkerState]]:
    """What the processes say of one worker."""
    processes = () if fleet is None else fleet.processes
    return [
        (process, worker)
        for process in processes
        for worker in process.workers
        if worker.group == group and worker.name in (name, f"{name}@{group}")
    ]


def _row(lag: WorkerLag, states: Sequence[tuple[ProcessState, WorkerState]]) -> WorkerRow:
    found = Counter(worker.condition for _, worker in states)
    worst = min(found, key=_rank, default="")
    reasons = [worker.reason for _, worker in states if worker.condition == worst and worker.reason]
    return WorkerRow(
        name=lag.worker.name,
        group=lag.worker.group_id,
        topics=", ".join(lag.worker.input_topics),
        condition=worst,
        conditions=", ".join(f"{count} {name}" for name, count in sorted(found.items())),
        reason=reasons[0] if reasons else "",
        processes=len(states),
        lag=lag,
        waiting_retries=sum(worker.waiting_retries for _, worker in states) if states else None,
        dead_letters=_counted(states, "dead_lettered"),
    )


def _counted(states: Sequence[tuple[ProcessState, WorkerState]], counter: str) -> int | None:
    return sum(worker.counters.get(counter, 0) for _, worker in states) if states else None


def _rank(condition: str) -> int:
    return ORDER.index(condition) if condition in ORDER else len(ORDER)


@dataclass(frozen=True, slots=True)
class Chart:
    """One line over the time. ``latest``: its last value."""

    name: str
    points: str
    latest: float | None
    most: float


def charts(samples: Sequence[Sample]) -> dict[str, Chart]:
    """The charts of one worker: lag, messages a second in and out, and how old the oldest message is."""
    series: dict[str, list[float | None]] = {
        "lag": [sample.lag for sample in samples],
        "in": [sample.rate_in for sample in samples],
        "out": [sample.rate_out for sample in samples],
        "behind": [sample.behind for sample in samples],
    }
    return {name: _chart(name, values) for name, values in series.items()}


def _chart(name: str, values: Sequence[float | None]) -> Chart:
    known = [value for value in values if value is not None]
    return Chart(name, points(values), known[-1] if known else None, max(known, default=0.0))
