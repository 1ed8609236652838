"""How long a consumer group stands still when one of its processes is killed and replaced, joins, or leaves.

``make rebalance`` runs three processes of one worker beside 500 messages a second on 12 partitions. The silence of a
partition is the longest time between two of its messages.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions

PARTITIONS, RATE, PROCESSES = 12, 500, 3
SESSION = float(os.environ.get("KAFKA_SESSION_TIMEOUT", "45"))  # seconds
CALM = 5.0  # seconds that are measured before something happens, and after a join or leave
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
    """The processes of one group, what is sent to them and what they have handled."""

    def __init__(self, folder: Path, address: str, topic: str) -> None:
        self._folder, self._address, self._topic = folder, address, topic
        (folder / "src/workers").mkdir(parents=True)
        (folder / "src/workers/bench.py").write_text(WORKER.format(topic=topic))
        self.processes: list[subprocess.Popen[bytes]] = []

    def join(self) -> subprocess.Popen[bytes]:
        """Start another process."""
        core = str(Path(sys.executable).with_name("core"))
        environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": self._address}
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [core, "kafka", "worker", "Bench"], cwd=self._folder, env=environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def handled(self, since: float = 0.0) -> list[Handled]:
        """All messages that were handled after *since*."""
        file = self._folder / "seen"
        lines = file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []
        rows = (line.split() for line in lines)
        found = [Handled(float(at), int(where), int(who), float(age)) for at, where, who, age in rows]
        return [each for each in found if each.time >= since]

    def owners(self) -> dict[int, int]:
        """Partition -> the process that handled its last message."""
        return {each.partition: each.pid for each in self.handled(time.time() - 3)}

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
    """The 99th percentile of the ages of messages of *partitions*."""
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


async def settled(group: Group, processes: int) -> None:
    """Wait until each of *processes* has its part of the partitions, and a little longer."""

    def even() -> bool:
        counts = Counter(group.owners().values())
        return len(group.owners()) == PARTITIONS and set(counts.values()) == {PARTITIONS // processes}

    await until(lambda: even() and len(set(group.owners().values())) == processes)
    await asyncio.sleep(CALM)


async def killed(group: Group) -> None:
    """SIGKILL and a replacement a second later."""
    owners, began = group.owners(), time.time()
    victim = group.processes[2]
    mine = {partition for partition, pid in owners.items() if pid == victim.pid}
    others = owners.keys() - mine
    calm = group.handled(began - CALM)
    victim.kill()
    victim.wait()
    await asyncio.sleep(1)
    group.join()

    def taken_over() -> bool:
        return mine <= {each.partition for each in group.handled(began) if each.pid != victim.pid}

    await until(taken_over, SESSION + 60)
    handled = group.handled(began)
    print(
        f"SIGKILL + replacement: longest silence of what survivors own {silence(handled, others, began):.2f} s"
    )
    print(
        f"  p99 of its latency {percentile(handled, others):.3f} s, before {percentile(calm, others):.3f} s"
    )
    print(f"  longest silence of what the dead process owned {silence(handled, mine, began):.2f} s")


async def joined(group: Group) -> None:
    """One more process."""
    owners, began = group.owners(), time.time()
    group.join()
    await settled(group, PROCESSES + 1)
    moved = {partition for partition, pid in group.owners().items() if pid != owners[partition]}
    _report("join", group.handled(began), owners.keys() - moved, moved, began)


async def left(group: Group) -> None:
    """SIGTERM."""
    owners, began = group.owners(), time.time()
    leaver = group.processes[0]
    leaver.send_signal(signal.SIGTERM)
    await asyncio.to_thread(leaver.wait)
    print(f"SIGTERM: exit after {time.time() - began:.2f} s")
    mine = {partition for partition, pid in owners.items() if pid == leaver.pid}
    await until(lambda: group.owners().keys() == owners.keys() and leaver.pid not in group.owners().values())
    await asyncio.sleep(CALM)
    _report("leave", group.handled(began), owners.keys() - mine, mine, began)


def _report(
    what: str, handled: Collection[Handled], stays: Collection[int], moves: Collection[int], began: float
) -> None:
    print(
        f"{what}: longest silence of what stays {silence(handled, stays, began):.2f} s, "
        f"of what moves {silence(handled, moves, began):.2f} s"
    )


async def measure(folder: Path, address: str) -> None:
    """Let each thing happen once."""
    topic = f"bench-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    group = Group(folder, address, topic)
    sending = asyncio.create_task(send_forever(address, topic))
    try:
        for _ in range(PROCESSES):
            group.join()
        await settled(group, PROCESSES)
        await killed(group)
        await settled(group, PROCESSES)
        await joined(group)
        await left(group)
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        group.end()


@contextmanager
def broker() -> Iterator[str]:
    """The broker of KAFKA_BOOTSTRAP_SERVERS, or one of our own."""
    if address := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield address
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        ApacheCluster(ApacheOptions(folder=Path(folder))) as cluster,
    ):
        yield cluster.address


def main() -> None:
    """Measure and print."""
    with broker() as address, tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "group", address))


if __name__ == "__main__":
    main()
