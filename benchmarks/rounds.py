"""Runs the contestants of a workload in turn, each in a process of its own, for some rounds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import msgspec

from benchmarks.load import fill, make_topic
from benchmarks.task import Outcome
from benchmarks.workloads import Bar, Contestant, Workload

PATIENCE = 90.0  # seconds for one round of one contestant
LEAST = 300  # messages; with fewer a figure is meaningless


@dataclass
class Figures:
    """The figures of one contestant, one for each round, or why there are none."""

    contestant: Contestant
    outcomes: list[Outcome] = field(default_factory=list)
    error: str = ""

    def values(self, unit: str) -> list[float]:
        return [outcome.rate if unit == "msg/s" else outcome.p99 for outcome in self.outcomes]


@dataclass
class Result:
    """All figures of one workload, in the order of its contestants."""

    workload: Workload
    figures: dict[str, Figures]

    def middle(self, name: str) -> float | None:
        found = self.figures[name].values(self.workload.unit)
        return median(found) if found else None

    def ratios(self, ours: str, against: str) -> list[float]:
        """One ratio for each round. Both sides were measured within the same minute."""
        unit = self.workload.unit
        pairs = zip(self.figures[ours].values(unit), self.figures[against].values(unit), strict=False)
        return [mine / theirs for mine, theirs in pairs]

    def reached(self, bar: Bar) -> bool | None:
        """Whether *bar* is reached; None if it was not measured."""
        ratios = self.ratios(bar.ours, bar.against)
        if not ratios:
            return None
        ratio = median(ratios)
        return ratio <= bar.ratio if self.workload.less_is_better else ratio >= bar.ratio


class Broker:
    """The topics of one cluster. Each is filled once, and each contestant reads it in a group of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._filled: dict[tuple[int, int, int, int], str] = {}

    def filled(self, count: int, workload: Workload) -> str:
        what = count, workload.partitions, workload.busy, workload.size
        if what not in self._filled:
            self._filled[what] = asyncio.run(fill(self.address, *what))
        return self._filled[what]

    def empty(self) -> str:
        return asyncio.run(make_topic(self.address, 4))


def run(broker: Broker, workload: Workload, rounds: int, scale: float, say: Callable[[str], None]) -> Result:
    """Run *rounds* rounds of *workload*. A contestant that fails twice is left out."""
    result = Result(workload, {row.name: Figures(row) for row in workload.contestants})
    for number in range(1, rounds + 1):
        for figures in result.figures.values():
            say(f"{workload.title}: round {number} of {rounds}, {figures.contestant.name}")
            if not figures.error:
                _round(broker, workload, figures, scale)
    return result


def _round(broker: Broker, workload: Workload, figures: Figures, scale: float) -> None:
    try:
        figures.outcomes.append(_ask(broker, workload, figures.contestant, scale))
    except RuntimeError:
        # Once more: one slow rebalance is no reason to leave a contestant out.
        try:
            figures.outcomes.append(_ask(broker, workload, figures.contestant, scale))
        except RuntimeError as error:
            figures.error = str(error)


def _ask(broker: Broker, workload: Workload, contestant: Contestant, scale: float) -> Outcome:
    task, count = contestant.task, max(LEAST, int(workload.count * contestant.share * scale))
    if task.rate:
        count = max(task.skip + 2_000, int(workload.count * scale))
    needs_input = not task.rate and not task.run.startswith("bare:") and ":send_" not in task.run
    task = msgspec.structs.replace(
        task,
        address=broker.address,
        count=count,
        topic=broker.filled(count, workload) if needs_input else broker.empty(),
        output=broker.empty() if task.output else "",
    )
    command = [sys.executable, "-m", "benchmarks.contestants", msgspec.json.encode(task).decode()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"did not finish {count} messages within {PATIENCE:g} s") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Outcome)
