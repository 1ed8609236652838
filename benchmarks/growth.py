"""How costs grow with the number of workers, partitions, waiting messages and installed distributions."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from benchmarks import startup
from benchmarks.grown import Cost, Size
from benchmarks.load import fill, make_topic

WORKERS = (1, 10, 50, 200)
PARTITIONS = (1, 10, 100, 500)
BACKLOG = (0, 10_000, 100_000, 1_000_000)
DISTRIBUTIONS = (0, 100, 500)


@dataclass(frozen=True)
class Series:
    """One curve: the cost at each size."""

    title: str
    sizes: tuple[int, ...]
    costs: tuple[Cost, ...]


def cost_of(size: Size) -> Cost:
    """Run workers of *size* in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.grown", msgspec.json.encode(size).decode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{size}: {done.stderr.strip().splitlines()[-1:]}")
    return msgspec.json.decode(done.stdout, type=Cost)


def workers(address: str) -> Series:
    """Measure idle workers in one process, each with a group of its own."""
    topic = asyncio.run(make_topic(address, 4))
    costs = tuple(cost_of(Size(address=address, topics=[topic] * count)) for count in WORKERS)
    return Series("idle workers in one process", WORKERS, costs)


def partitions(address: str) -> Series:
    """Measure one worker with many partitions and 20,000 messages."""
    topics = [asyncio.run(fill(address, 20_000, count)) for count in PARTITIONS]
    costs = tuple(cost_of(Size(address=address, topics=[topic])) for topic in topics)
    return Series("partitions of one worker, 20,000 messages waiting", PARTITIONS, costs)


def backlog(address: str) -> Series:
    """Measure one slow worker with many messages waiting. Its memory must not grow with them."""
    topics = [asyncio.run(fill(address, count, 4)) for count in BACKLOG]
    costs = tuple(cost_of(Size(address=address, topics=[topic])) for topic in topics)
    return Series("messages waiting for one slow worker", BACKLOG, costs)


def distributions(rounds: int) -> Series:
    """Measure ``core kafka worker NAME`` until it would connect, beside many other installed distributions."""
    seconds = [startup.measure(rounds, count)[1] for count in DISTRIBUTIONS]
    costs = tuple(Cost(startup=each, memory=0.0, cpu=0.0, handled=0) for each in seconds)
    return Series("installed distributions without entry points of ours", DISTRIBUTIONS, costs)


def measure(address: str, rounds: int, say: Callable[[str], None]) -> Iterator[Series]:
    """Measure all curves."""
    for series in (workers, partitions, backlog):
        say(f"growth: {series.__name__}")
        yield series(address)
    say("growth: distributions")
    yield distributions(rounds)
