"""``python -m benchmarks.throughput``: interleaved rounds, medians, ratios.

Uses KAFKA_BOOTSTRAP_SERVERS, or starts Apache Kafka (Java and Maven). Absolute figures say little: machines
differ and are shared. The ratios are of one run, one broker, one process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.contestants import noop, ours, raw, sleep_limit, sleeping
from benchmarks.load import fill
from core_messaging.brokers.apache import ApacheCluster, ApacheOptions

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Workload:
    """One contest: *ours* against *limit*, on the same messages."""

    name: str
    against: str
    bar: float
    limit: Measure
    ours: Measure


async def workloads(address: str, scale: float) -> list[Workload]:
    """The workloads, each with a topic filled for it. *scale* 1.0: as the bars were set."""
    many, some = int(200_000 * scale), int(20_000 * scale)
    spread = await fill(address, many, 4)
    io = await fill(address, some, 4)
    single = await fill(address, some, 1)
    by_partition = partial(ours, address, spread, many, noop, ordering="partition", concurrency=8)
    unordered = partial(ours, address, spread, many, noop, ordering="none", concurrency=8)
    reading = partial(raw, address, spread, many)
    ten, two = 0.010, 0.0025
    return [
        Workload("no-op, key order", "raw getmany", 0.5, reading, partial(ours, address, spread, many, noop, concurrency=8)),
        Workload("no-op, partition order", "raw getmany", 0.5, reading, by_partition),
        Workload("no-op, no order", "raw getmany", 0.5, reading, unordered),
        Workload(
            "10 ms of I/O, 200 slots, 1,000 keys",
            "sleep limit",
            0.8,
            partial(sleep_limit, some, 200, ten),
            partial(ours, address, io, some, lambda done: sleeping(done, ten), concurrency=200),
        ),
        Workload(
            "one partition, 2.5 ms, 100 slots",
            "sleep limit",
            0.75,
            partial(sleep_limit, some, 100, two),
            partial(ours, address, single, some, lambda done: sleeping(done, two), concurrency=100),
        ),
    ]  # fmt: skip


async def measure(workload: Workload, rounds: int) -> tuple[float, float, list[float]]:
    """Medians of both sides, and the ratio of each round. Interleaved, so that a slow minute hits both."""
    limits, figures = [], []
    for _ in range(rounds):
        limits.append(await workload.limit())
        figures.append(await workload.ours())
    return median(limits), median(figures), [b / a for a, b in zip(limits, figures, strict=True)]


async def contest(address: str, rounds: int, scale: float) -> bool:
    print(
        f"{'workload':38} {'against':12} {'limit':>9} {'ours':>9} {'ratio':>6} {'(min-max)':>12} {'bar':>5}"
    )
    passed = True
    for workload in await workloads(address, scale):
        limit, figure, ratios = await measure(workload, rounds)
        ratio = median(ratios)
        passed = passed and ratio >= workload.bar
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        print(
            f"{workload.name:38} {workload.against:12} {limit:9,.0f} {figure:9,.0f} "
            f"{ratio:6.2f} {spread:>12} {workload.bar:5.2f} {'' if ratio >= workload.bar else 'MISSED'}",
            flush=True,
        )
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of messages")
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop")
    arguments = parser.parse_args()
    factory = None
    if arguments.uvloop:
        import uvloop  # noqa: PLC0415 - an extra

        factory = uvloop.new_event_loop
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    with tempfile.TemporaryDirectory() as folder:
        broker = nullcontext() if given else ApacheCluster(ApacheOptions(folder=Path(folder)))
        with broker as cluster, asyncio.Runner(loop_factory=factory) as runner:
            address = given or cluster.address  # type: ignore[union-attr] # one of the two is there
            return 0 if runner.run(contest(address, arguments.rounds, arguments.scale)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
