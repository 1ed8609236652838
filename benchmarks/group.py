"""A consumer group under load: its processes, what is sent to them, and what each of them has handled."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from aiokafka import AIOKafkaProducer

PARTITIONS, RATE = 12, 500  # of the topic; messages a second
CALM = 5.0  # seconds that are measured before something happens, and after a join or leave
# Shorter than the default: a run waits for the session of a process that stands still.
SESSION = float(os.environ.get("KAFKA_SESSION_TIMEOUT", "20"))  # seconds
WORKER = """
import os, time
from core_messaging import Context, Worker

SEEN = os.open("seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Bench(Worker):
    input_topic = "{topic}"
    group_id = "{topic}"
    concurrency = 8

    async def process(self, message: float, context: Context) -> None:
        now = time.time()
        os.write(SEEN, f"{{now:.6f}} {{context.partition}} {{os.getpid()}} {{now - message:.6f}}\\n".encode())
"""


@dataclass(frozen=True, slots=True)
class Handled:
    """One message: when, where, by which process, and how old it was."""

    time: float
    partition: int
    pid: int
    age: float


class Group:
    """The processes of one group. *address*: of the broker."""

    def __init__(self, folder: Path, address: str, topic: str) -> None:
        self._folder, self._address = folder, address
        (folder / "src/workers").mkdir(parents=True)
        (folder / "src/workers/bench.py").write_text(WORKER.format(topic=topic))
        self.processes: list[subprocess.Popen[bytes]] = []
        self._seen: list[Handled] = []
        self._read = 0  # bytes of the file that are in ``_seen``

    def join(self) -> subprocess.Popen[bytes]:
        """Start another process."""
        core = str(Path(sys.executable).with_name("core"))
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self._address,
            "KAFKA_SESSION_TIMEOUT": str(SESSION),
        }
        with (self._folder / f"log-{len(self.processes)}").open("wb") as log:
            process = subprocess.Popen(
                [core, "kafka", "worker", "Bench"], cwd=self._folder, env=environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes], text: str) -> bool:
        """Whether *process* has logged *text*."""
        return text in (self._folder / f"log-{self.processes.index(process)}").read_text()

    def handled(self, since: float = 0.0) -> list[Handled]:
        """All messages that were handled after *since*."""
        self._read_on()
        # Several processes write, so the times ascend nearly.
        first = bisect_left(self._seen, since - 1, key=lambda each: each.time)
        return [each for each in self._seen[first:] if each.time >= since]

    def _read_on(self) -> None:
        """Read what is new. Reading all of the file each time would hold up the sender, and so be measured too."""
        file = self._folder / "seen"
        if not file.exists():
            return
        with file.open("rb") as opened:
            opened.seek(self._read)
            whole = opened.read().rpartition(b"\n")[0]
        for line in whole.splitlines():
            at, where, who, age = line.split()
            self._seen.append(Handled(float(at), int(where), int(who), float(age)))
        self._read += len(whole) + bool(whole)

    def owners(self) -> dict[int, int]:
        """Partition -> the process that handled its last message."""
        return {each.partition: each.pid for each in self.handled(time.time() - 3)}

    async def settled(self, processes: int) -> None:
        """Wait until each of *processes* has its part of the partitions, and CALM seconds longer."""

        def even() -> bool:
            counts = Counter(self.owners().values())
            shares = [PARTITIONS // processes] * processes
            return len(self.owners()) == PARTITIONS and sorted(counts.values()) == shares

        await until(even)
        await asyncio.sleep(CALM)

    def end(self) -> None:
        """Kill what runs."""
        for process in self.processes:
            process.kill()
            process.wait()


def silence(handled: Collection[Handled], partitions: Collection[int], begin: float) -> float:
    """The longest time without a message of one of *partitions* after *begin*."""
    times: dict[int, list[float]] = defaultdict(lambda: [begin])
    for each in handled:
        if each.time >= begin and each.partition in partitions:
            times[each.partition].append(each.time)
    return max(
        (max(b - a for a, b in pairwise(t)) for t in times.values() if len(t) > 1),
        default=0.0,
    )


def percentile(handled: Collection[Handled], partitions: Collection[int]) -> float:
    """The 99th percentile of the ages of messages of *partitions*, in seconds."""
    ages = [each.age for each in handled if each.partition in partitions]
    return statistics.quantiles(ages, n=100)[98]


async def send_forever(address: str, topic: str) -> None:
    """RATE messages a second, to each partition in turn."""
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=1)
    await producer.start()
    try:
        began, count = time.monotonic(), 0
        while True:
            while count < (time.monotonic() - began) * RATE:
                value = f"{time.time():.6f}".encode()
                await producer.send(topic, value, key=b"%d" % count, partition=count % PARTITIONS)
                count += 1
            await asyncio.sleep(0.002)
    finally:
        await producer.stop()


async def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for *condition*. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - other processes have no event for it
            await asyncio.sleep(0.2)
