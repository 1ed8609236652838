"""``core kafka worker --processes N`` with a handler that computes: how much faster are two than one?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from aiokafka import AIOKafkaProducer

from benchmarks.load import body, key, make_topic

BAR = 1.7  # two processes against one, on two cores
MESSAGES = 4_000
PATIENCE = 60.0  # seconds

_WORKER = """\
import os, time
from benchmarks.contestants.handlers import compute
from core_messaging import Worker

TIMES = os.open("times", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


class Computing(Worker):
    input_topic = "{topic}"
    group_id = "{topic}-{count}"

    async def process(self, message: dict) -> None:
        compute()
        os.write(TIMES, b"%.6f\\n" % time.monotonic())
"""


async def _publish(address: str, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, linger_ms=5) as producer:
        for start in range(0, MESSAGES, 1_000):
            await asyncio.gather(
                *[await producer.send(topic, body(n), key(n)) for n in range(start, start + 1_000)]
            )


@contextmanager
def _running(folder: Path, address: str, count: int) -> Iterator[Path]:
    """So many processes; what they log is in the file."""
    log = folder / "log"
    command = [
        Path(sys.executable).parent / "core",
        "kafka",
        "worker",
        "Computing",
        "--processes",
        str(count),
    ]
    env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": address, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stderr=output, stdout=output)
        try:
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _until(condition: object, what: str) -> None:
    deadline = monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        if monotonic() > deadline:
            raise RuntimeError(f"{what} took longer than {PATIENCE:g} s")
        sleep(0.05)


def rate(address: str, count: int) -> float:
    """Messages a second of *count* processes, all of which have their partitions before the first message."""
    topic = asyncio.run(make_topic(address, 4))
    share = ", ".join([topic] * (4 // count))  # "Computing has t[0], t[1]"
    with tempfile.TemporaryDirectory() as home:
        folder, times = Path(home), Path(home, "times")
        (folder / "src/workers").mkdir(parents=True)
        (folder / "src/workers/computing.py").write_text(_WORKER.format(topic=topic, count=count))
        with _running(folder, address, count) as log:
            _until(lambda: _have(log, share.count(topic)) >= count, "joining the group")
            asyncio.run(_publish(address, topic))
            _until(lambda: times.exists() and len(times.read_bytes().split()) >= MESSAGES, "the work")
        stamps = sorted(map(float, times.read_text().split()))
        assert len(stamps) == MESSAGES, f"{len(stamps)} messages were handled instead of {MESSAGES}"
        return MESSAGES / (stamps[-1] - stamps[0])


def _have(log: Path, partitions: int) -> int:
    """How many lines tell of a share of so many partitions."""
    told = [line for line in log.read_text().splitlines() if "Computing has" in line]
    return sum(line.count("bench-") == partitions for line in told)


def measure(address: str, rounds: int) -> list[tuple[float, float]]:
    """(one process, two processes) in messages a second, a pair a round."""
    return [(rate(address, 1), rate(address, 2)) for _ in range(rounds)]
