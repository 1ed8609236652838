"""What a process takes of a core while there is nothing to do: many workers, and one worker with many partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.grown import Size
from benchmarks.growth import cost_of
from benchmarks.load import make_topic

BAR = 0.08  # of a core
WORKERS, PARTITIONS = 200, 500
SETTLED = 25.0  # seconds after the start; a worker counts as idle once it has had no record for 10 s
PERIOD = 15.0  # seconds


@dataclass(frozen=True)
class Idle:
    """*share* of a core, and what takes it."""

    title: str
    share: float


def measure(address: str) -> Sequence[Idle]:
    """Measure processor time, so that other programs on the machine do not count."""
    one, many = (asyncio.run(make_topic(address, partitions)) for partitions in (1, PARTITIONS))
    sizes = {
        f"{WORKERS} idle workers in one process": [one] * WORKERS,
        f"one idle worker with {PARTITIONS} partitions": [many],
    }
    return [
        Idle(
            title,
            cost_of(Size(address=address, topics=topics, settled=SETTLED, period=PERIOD)).cpu,
        )
        for title, topics in sizes.items()
    ]
