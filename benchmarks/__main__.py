"""``python -m benchmarks``: every contest, interleaved, medians, one table.

Uses KAFKA_BOOTSTRAP_SERVERS, or starts Apache Kafka (Java and Maven). Absolute figures say little: machines
differ and are shared. The ratios are of one run, one broker, one minute. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from benchmarks import plot, report, startup
from benchmarks.rounds import Broker, Result, run
from benchmarks.workloads import ALL, Workload
from core_messaging.brokers.apache import ApacheCluster, ApacheOptions

START = "start"  # the contest that needs no broker
# A contest of two minutes is about ours and its limits; the peers wait for the long one.
QUICK = ("noop", "io", "output", "batches", "sending", "hook", START)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [workload.name for workload in ALL] + [START]
    parser.add_argument("--rounds", type=int, help="per workload; 5, or 3 with --quick")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of messages")
    parser.add_argument("--only", action="append", choices=names, metavar="WORKLOAD", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="about two minutes: ours and its limits only")
    parser.add_argument("--write", action="store_true", help="RESULTS.md and results.png")
    return parser.parse_args()


def _names(arguments: argparse.Namespace) -> Sequence[str]:
    everything = [*(workload.name for workload in ALL), START]
    return arguments.only or (QUICK if arguments.quick else everything)


def _chosen(arguments: argparse.Namespace) -> list[Workload]:
    names = _names(arguments)
    return [_bars_only(w) if arguments.quick else w for w in ALL if w.name in names]


def _bars_only(workload: Workload) -> Workload:
    """Without those that no bar speaks of."""
    needed = {name for bar in workload.bars for name in (bar.ours, bar.against)}
    rows = tuple(row for row in workload.contestants if row.name in needed)
    return Workload(
        workload.name,
        workload.title,
        workload.count,
        rows or workload.contestants,
        workload.bars,
        workload.partitions,
        workload.unit,
    )


def _contest(arguments: argparse.Namespace, rounds: int, console: Console) -> list[Result]:
    workloads = _chosen(arguments)
    if not workloads:
        return []
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    scale = arguments.scale * (0.5 if arguments.quick else 1.0)
    with tempfile.TemporaryDirectory() as folder:
        cluster = None if given else ApacheCluster(ApacheOptions(folder=Path(folder)))
        with cluster or nullcontext(), console.status("") as status:
            broker = Broker(given or cluster.address)  # type: ignore[union-attr] # one of the two is there
            return [run(broker, workload, rounds, scale, status.update) for workload in workloads]


def _finish(results: Sequence[Result], starts: tuple[float, float] | None, console: Console) -> int:
    report.show(results, console)
    misses = report.missed(results)
    if starts:
        added = starts[1] - starts[0]
        console.print(f"start-up beside {startup.DISTRIBUTIONS} distributions: {added:+.3f} s")
        misses += [f"start-up: {added:.3f} s"] if added >= startup.BAR else []
    for line in misses:
        console.print(f"[red]missed[/red] {line}", highlight=False)
    return 1 if misses else 0


def main() -> int:
    arguments, console = _arguments(), Console()
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    results = _contest(arguments, rounds, console)
    starts = startup.measure(rounds) if START in _names(arguments) else None
    if arguments.write:
        plot.draw(results, report.PLOT)
        report.write(results, starts, f"make bench BENCH_ARGS='{' '.join(sys.argv[1:])}'")
    return _finish(results, starts, console)


if __name__ == "__main__":
    raise SystemExit(main())
