"""``core kafka worker --processes N`` with a handler that computes: how much faster are two than one?

Beside it, what two bare processes gain that only compute: two cores of a shared machine are not always twice one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from aiokafka import AIOKafkaProducer

from benchmarks.load import body, key, make_topic

BAR, PLAIN_BAR = 1.7, 1.8  # two processes against one, on two cores
PARTITIONS = 4
MESSAGES = 5_000
TURNS = 2  # in each round: the two cores of a shared machine are slow and fast at different times
PATIENCE = 60.0  # seconds

_WORKER = """\
import os, time
from benchmarks.contestants.handlers import compute
from core_messaging import Worker

TIMES = os.open("times", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


class Computing(Worker):
    input_topic = "{topic}"
    group_id = "{topic}-{count}"

    {define} process(self, message: dict) -> None:
        compute()
        os.write(TIMES, b"%.6f\\n" % time.monotonic())
"""

_BARE = """\
import time
from benchmarks.contestants.handlers import compute

times = []
for _ in range({count}):
    compute()
    times.append(time.monotonic())
print("\\n".join(map(str, times)))
"""


@dataclass(frozen=True)
class Round:
    """Messages per second of one and two processes, with ``async def`` and with plain ``def`` handlers.

    Beside them, calls per second of one and two bare processes.
    """

    one: float
    two: float
    plain_one: float
    plain_two: float
    bare_one: float
    bare_two: float

    @property
    def gain(self) -> float:
        return self.two / self.one

    @property
    def plain_gain(self) -> float:
        return self.plain_two / self.plain_one

    @property
    def bare_gain(self) -> float:
        return self.bare_two / self.bare_one


async def _publish(address: str, topic: str) -> None:
    """Fill each partition with the same number of messages, because the spread of keys is not measured."""
    async with AIOKafkaProducer(bootstrap_servers=address, linger_ms=5) as producer:
        for start in range(0, MESSAGES, 1_000):
            sent = [
                await producer.send(topic, body(n), key(n), partition=n % PARTITIONS)
                for n in range(start, start + 1_000)
            ]
            await asyncio.gather(*sent)


@contextmanager
def _running(folder: Path, address: str, count: int) -> Iterator[Path]:
    """Run *count* processes. Their log is in the file."""
    log = folder / "log"
    command = [
        str(Path(sys.executable).parent / "core"),
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


def rate(address: str, count: int, define: str = "async def") -> float:
    """Measure messages per second of *count* processes. Each has its partitions before the first message.

    *define*: how the handler is defined.

    It counts from the end of publishing: the load is made on the same cores, and two processes would pay for it
    with half of their time and one with none.
    """
    topic = asyncio.run(make_topic(address, PARTITIONS))
    share = ", ".join([topic] * (PARTITIONS // count))  # "Computing has t[0], t[1]"
    with tempfile.TemporaryDirectory() as home:
        folder, times = Path(home), Path(home, "times")
        (folder / "src/workers").mkdir(parents=True)
        (folder / "src/workers/computing.py").write_text(
            _WORKER.format(topic=topic, count=count, define=define)
        )
        with _running(folder, address, count) as log:
            _until(lambda: _have(log, share.count(topic)) >= count, "joining the group")
            asyncio.run(_publish(address, topic))
            published = monotonic()
            _until(lambda: times.exists() and len(times.read_bytes().split()) >= MESSAGES, "the work")
        stamps = list(map(float, times.read_text().split()))
        assert len(stamps) == MESSAGES, f"{len(stamps)} messages were handled instead of {MESSAGES}"
        return _rate([stamp for stamp in stamps if stamp > published])


def _have(log: Path, partitions: int) -> int:
    """Count the log lines that name a share of so many partitions."""
    # A line "has given up" names as many while the other process has none yet.
    told = [line for line in log.read_text().splitlines() if "Computing has bench-" in line]
    return sum(line.count("bench-") == partitions for line in told)


def bare_rate(count: int) -> float:
    """Measure calls per second of *count* processes that only compute, while all of them compute."""
    script = _BARE.format(count=MESSAGES // 4)
    command = [sys.executable, "-c", script]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) for _ in range(count)]
    stamps = [sorted(map(float, process.communicate(timeout=PATIENCE)[0].split())) for process in running]
    begin, end = max(each[0] for each in stamps), min(each[-1] for each in stamps)
    return _rate([stamp for each in stamps for stamp in each if begin <= stamp <= end])


def _rate(stamps: list[float]) -> float:
    return len(stamps) / (max(stamps) - min(stamps))


def measure(address: str, rounds: int) -> list[Round]:
    """Measure one process, two processes, and as many bare ones, in turn."""
    turns = range(TURNS * rounds)
    return [
        Round(
            one=rate(address, 1),
            two=rate(address, 2),
            plain_one=rate(address, 1, "def"),
            plain_two=rate(address, 2, "def"),
            bare_one=bare_rate(1),
            bare_two=bare_rate(2),
        )
        for _ in turns
    ]
