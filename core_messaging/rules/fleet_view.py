"""The fleet as a live view shows it: states of processes in, rows out. Pure: the time is in the states.

A row is one worker: its processes together. Rates come from two states of each process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core_messaging.rules.fleet_state import ProcessState, WorkerState

HISTORY = 60  # lags of each row that are kept
ROWS = 10_000  # rows whose history is kept
# Each message that is settled counts in one of these.
FINISHED = ("succeeded", "exhausted", "undecodable", "followed", "cleared")
# Conditions, the worst first: a row has the worst of its processes.
WORST = ("stuck", "degraded", "blocked", "rebalancing", "draining", "starting", "paused", "running")


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages a second. ``coming``: what was added to the topics, as far as the lag tells."""

    coming: float | None = None
    finished: float | None = None
    failed: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One worker in all processes. ``lag``, ``useful_lag``: None where a process does not know. ``trend``: lags so far.

    ``slowest``: the message that is in a handler longest, and for how long. ``processes``: their addresses.
    ``reasons``: why a condition is not good, each once.
    """

    name: str
    group: str
    condition: str
    reasons: tuple[str, ...]
    processes: tuple[str, ...]
    partitions: int
    paused: int
    lag: int | None
    useful_lag: int | None
    running: int
    waiting_retries: int
    dead_lettered: int
    slowest: str
    slowest_seconds: float
    rates: Rates = Rates()
    trend: tuple[int | None, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the row in the next state of the fleet."""
        return self.name, self.group


@dataclass(slots=True)
class FleetHistory:
    """What was seen of the fleet so far: as much as rates and trends need."""

    _before: dict[str, ProcessState] = field(default_factory=dict)
    _lags: dict[tuple[str, str], deque[int | None]] = field(default_factory=dict)
    _rates: dict[tuple[str, str, str], Rates] = field(default_factory=dict)

    def add(self, fleet: Sequence[ProcessState]) -> list[Row]:
        """Take in the state of the *fleet*; return its rows by name."""
        for process in fleet:
            self._note_rates(process)
        alive = {process.id for process in fleet}
        self._before = {process.id: process for process in fleet}
        self._rates = {key: rates for key, rates in self._rates.items() if key[0] in alive}
        rows = [self._row(members) for members in _by_worker(fleet).values()]
        self._lags = {row.key: self._lags[row.key] for row in rows[:ROWS]}
        return sorted(rows, key=lambda row: row.key)

    def _note_rates(self, process: ProcessState) -> None:
        """A process that has said nothing new keeps its rates."""
        before = self._before.get(process.id)
        if before is None or process.at <= before.at:
            return
        old = {(worker.name, worker.group): worker for worker in before.workers}
        for worker in process.workers:
            earlier = old.get((worker.name, worker.group))
            if earlier is not None:
                key = (process.id, worker.name, worker.group)
                self._rates[key] = _rates(earlier, worker, process.at - before.at)

    def _row(self, members: Sequence[tuple[ProcessState, WorkerState]]) -> Row:
        row = _summed(members)
        lags = self._lags.setdefault(row.key, deque(maxlen=HISTORY))
        lags.append(row.lag)
        rates = [self._rates.get((process.id, *row.key)) for process, _ in members]
        return replace(row, rates=_all_rates(rates), trend=tuple(lags))


def _by_worker(
    fleet: Iterable[ProcessState],
) -> Mapping[tuple[str, str], list[tuple[ProcessState, WorkerState]]]:
    found: dict[tuple[str, str], list[tuple[ProcessState, WorkerState]]] = {}
    for process in fleet:
        for worker in process.workers:
            found.setdefault((worker.name, worker.group), []).append((process, worker))
    return found


def _summed(members: Sequence[tuple[ProcessState, WorkerState]]) -> Row:
    workers = [worker for _, worker in members]
    slowest = max(workers, key=lambda worker: worker.slowest_seconds)
    return Row(
        name=workers[0].name,
        group=workers[0].group,
        condition=min((worker.condition for worker in workers), key=badness),
        reasons=tuple(dict.fromkeys(reason for worker in workers for reason in _reasons(worker))),
        processes=tuple(process.address for process, _ in members),
        partitions=sum(len(worker.partitions) for worker in workers),
        paused=sum(len(worker.paused) for worker in workers),
        lag=_sum(worker.lag for worker in workers),
        useful_lag=_sum(worker.useful_lag for worker in workers),
        running=sum(worker.running for worker in workers),
        waiting_retries=sum(worker.waiting_retries for worker in workers),
        dead_lettered=sum(worker.counters.get("dead_lettered", 0) for worker in workers),
        slowest=slowest.slowest,
        slowest_seconds=slowest.slowest_seconds,
    )


def _reasons(worker: WorkerState) -> Iterator[str]:
    if worker.reason:
        yield worker.reason
    if worker.at_risk:
        yield f"Kafka soon deletes unread messages of {', '.join(worker.at_risk)}"


def badness(condition: str) -> int:
    """The place of *condition* among all, the worst first; one that is not known is the worst."""
    return WORST.index(condition) if condition in WORST else -1


def _sum(numbers: Iterable[int | None]) -> int | None:
    found = list(numbers)
    return None if None in found else sum(number or 0 for number in found)


def _rates(earlier: WorkerState, later: WorkerState, seconds: float) -> Rates:
    finished = sum(_growth(earlier, later, name) for name in FINISHED) / seconds
    failed = _growth(earlier, later, "failed") / seconds
    if earlier.lag is None or later.lag is None or earlier.partitions != later.partitions:
        return Rates(None, finished, failed)
    return Rates(max(0.0, finished + (later.lag - earlier.lag) / seconds), finished, failed)


def _growth(earlier: WorkerState, later: WorkerState, name: str) -> int:
    return max(0, later.counters.get(name, 0) - earlier.counters.get(name, 0))


def _all_rates(rates: Sequence[Rates | None]) -> Rates:
    """The rates of all processes together; not known where one of them is not."""
    known = [each for each in rates if each is not None]
    if len(known) < len(rates):
        return Rates()
    coming = [each.coming for each in known]
    return Rates(
        None if None in coming else sum(each or 0.0 for each in coming),
        sum(each.finished or 0.0 for each in known),
        sum(each.failed or 0.0 for each in known),
    )


SPARKS = "▁▂▃▄▅▆▇█"
ASCII_SPARKS = "_.-=+*%#"


def sparkline(numbers: Sequence[int | None], width: int, sparks: str = SPARKS) -> str:
    """Draw the last *width* of *numbers*, each as high as it is beside the largest; a space where it is not known."""
    shown = numbers[-width:] if width > 0 else ()
    most = max((number for number in shown if number is not None), default=0)
    return "".join(_spark(number, most, sparks) for number in shown).rjust(width)


def _spark(number: int | None, most: int, sparks: str) -> str:
    if number is None:
        return " "
    return sparks[0] if most == 0 else sparks[round(number / most * (len(sparks) - 1))]
