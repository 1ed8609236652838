"""``python -m benchmarks``: runs every contest, interleaved, and writes one table of medians.

Uses KAFKA_BOOTSTRAP_SERVERS, or starts Apache Kafka (Java and Maven). Absolute figures say little: machines
differ and are shared. The ratios are of one run, one broker, one minute. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import growth, idle, picture, plot, processes, rebalance, report, startup
from benchmarks.report import Everything
from benchmarks.rounds import Broker, run
from benchmarks.workloads import ALL, Workload
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions

# Not contests with rows.
START, PROCESSES, GROWTH, REBALANCE, IDLE = "start", "processes", "growth", "rebalance", "idle"
OTHERS = (PROCESSES, REBALANCE, GROWTH, START, IDLE)
# The quick run compares this project with its limits only. The full run has the other projects too.
QUICK = (
    "noop",
    "payload10",
    "io",
    "output",
    "batches",
    "sending",
    "hook",
    "threads",
    "cpu",
    PROCESSES,
    START,
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*(workload.name for workload in ALL), *OTHERS]
    parser.add_argument("--rounds", type=int, help="per workload; 5, or 3 with --quick")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of messages")
    parser.add_argument("--only", action="append", choices=names, metavar="WORKLOAD", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="about two minutes: ours and its limits only")
    parser.add_argument("--write", action="store_true", help="RESULTS.md, its pictures and the README's")
    return parser.parse_args()


def _names(arguments: argparse.Namespace) -> Sequence[str]:
    everything = [*(workload.name for workload in ALL), *OTHERS]
    return arguments.only or (QUICK if arguments.quick else everything)


def _chosen(arguments: argparse.Namespace) -> list[Workload]:
    names = _names(arguments)
    return [_bars_only(w) if arguments.quick else w for w in ALL if w.name in names]


def _bars_only(workload: Workload) -> Workload:
    """Leave out the contestants that no bar names."""
    needed = {name for bar in workload.bars for name in (bar.ours, bar.against)}
    rows = tuple(row for row in workload.contestants if row.name in needed)
    return replace(workload, contestants=rows or workload.contestants)


def _measure(arguments: argparse.Namespace, rounds: int, console: Console) -> Everything:
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    scale, names = arguments.scale * (0.5 if arguments.quick else 1.0), _names(arguments)
    with tempfile.TemporaryDirectory() as folder, console.status("") as status:
        cluster = None if given else ApacheCluster(ApacheOptions(folder=Path(folder)))
        with cluster or nullcontext():
            broker = Broker(given or cluster.address)  # type: ignore[union-attr] # one of the two is there
            return Everything(
                [run(broker, workload, rounds, scale, status.update) for workload in _chosen(arguments)],
                processes.measure(broker.address, rounds) if PROCESSES in names else [],
                rebalance.measure(broker.address) if REBALANCE in names else [],
                list(growth.measure(broker.address, rounds, status.update)) if GROWTH in names else [],
                startup.measure(rounds) if START in names else None,
                idle.measure(broker.address) if IDLE in names else [],
            )


def main() -> int:
    # A new topic has no leaders at first, and the client warns about each of its partitions.
    logging.basicConfig(level=logging.ERROR)
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 180)
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    found = _measure(arguments, rounds, console)
    if arguments.write:
        plot.draw(found.results, report.PLOT)
        plot.draw_growth(found.growth, report.GROWTH_PLOT)
        report.write(found, f"make bench BENCH_ARGS='{' '.join(sys.argv[1:])}'")
        picture.main()
    report.show(found, console)
    for line in report.missed(found):
        console.print(f"[red]missed[/red] {line}", highlight=False)
    return 1 if report.missed(found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
