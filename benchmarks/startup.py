"""Measures how much 500 other installed distributions slow down a command that looks for plugins."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

DISTRIBUTIONS = 500
BAR = 0.3  # seconds


def pretend(folder: Path, count: int) -> None:
    """Write *count* distributions as pip installs them, with a console script each."""
    for number in range(count):
        info = folder / f"nothing_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nothing-{number}\nVersion: 1.0\n")
        (info / "RECORD").write_text("")
        (info / "entry_points.txt").write_text(f"[console_scripts]\nnothing-{number} = nothing:main\n")


_WORKER = """\
from core_messaging import worker


@worker(topic="tasks")
async def idle(message: dict) -> None: ...
"""


def project(home: Path) -> None:
    """A project with one worker."""
    workers = home / "src" / "workers"
    workers.mkdir(parents=True)
    (workers / "idle.py").write_text(_WORKER)


def once(folder: Path) -> float:
    """Seconds of ``core kafka worker NAME`` until it refuses to connect: workers and plugins are loaded then."""
    started = perf_counter()
    done = subprocess.run(
        [Path(sys.executable).parent / "core", "kafka", "worker", "idle"],
        env=os.environ | {"PYTHONPATH": str(folder), "KAFKA_ENABLED": "false"},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.parent,
    )
    seconds = perf_counter() - started
    assert "kafka_enabled" in done.stderr.lower(), done.stderr
    return seconds


def measure(rounds: int, count: int = DISTRIBUTIONS) -> tuple[float, float]:
    """Median seconds without and with *count* more distributions, interleaved."""
    without, many = [], []
    with tempfile.TemporaryDirectory() as home:
        none, lots = Path(home, "none"), Path(home, "lots")
        project(Path(home))
        none.mkdir()
        lots.mkdir()
        pretend(lots, count)
        once(lots)  # the disk's cache is no subject of this
        for _ in range(rounds):
            without.append(once(none))
            many.append(once(lots))
    return median(without), median(many)
