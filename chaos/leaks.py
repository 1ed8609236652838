"""Minutes of rebalances and retries, in which the memory of a worker must not grow."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from chaos.cluster import Cluster
from chaos.fleet import Fleet
from chaos.ledger import Ledger, project

RATE = 400  # messages per second
TURNOVER = 10.0  # seconds between two changes of the group
WARM_UP = 0.25  # of the time
SLACK = 3.0  # megabytes that the allocator may hold back


@dataclass(frozen=True)
class Memory:
    """Megabytes of the member that stayed, one sample per second."""

    samples: list[float]
    handled: int
    rebalances: int

    @property
    def early(self) -> float:
        """The median of the first third after the warm-up."""
        warm = self.samples[int(len(self.samples) * WARM_UP) :]
        return median(warm[: len(warm) // 3])

    @property
    def late(self) -> float:
        return median(self.samples[-len(self.samples) // 4 :])

    @property
    def flat(self) -> bool:
        return self.late <= self.early * 1.02 + SLACK


async def run(cluster: Cluster, folder: Path, minutes: float) -> Memory:
    """Run one member that stays and one that comes and goes. One message in ten fails once."""
    topic, dlq = f"chaos-{uuid4().hex[:8]}", f"chaos-dlq-{uuid4().hex[:8]}"
    cluster.make_topics(topic, dlq)
    home = folder / "leaks"
    home.mkdir(parents=True)
    ledger, fleet = Ledger(project(home, topic, dlq)), Fleet(home, cluster.proxied)
    until = time.time() + 60 * minutes
    stays = fleet.join()
    sending = asyncio.create_task(_send(cluster.address, topic, until))
    turning = asyncio.create_task(_turn_over(fleet, until))
    samples = []
    try:
        while time.time() < until:
            await asyncio.sleep(1)
            fleet.check()
            samples.append(stays.megabytes)
        await sending
        rebalances = await turning
        await fleet.stop()
    finally:
        sending.cancel()
        turning.cancel()
        fleet.end()
    return Memory(samples, len(ledger.finished()), rebalances)


async def _send(address: str, topic: str, until: float) -> None:
    chance, n = random.Random(1), 0
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        while time.time() < until:
            for _ in range(RATE // 10):
                fact = {
                    "n": n,
                    "key": f"key-{n % 100}",
                    "seconds": chance.uniform(0, 0.01),
                    "fails": n % 10 == 0,
                }
                await producer.send(topic, json.dumps(fact).encode(), b"key-%d" % (n % 100))
                n += 1
            await asyncio.sleep(0.1)


async def _turn_over(fleet: Fleet, until: float) -> int:
    """Count the changes of the group."""
    changes = 0
    while time.time() < until - 2 * TURNOVER:
        guest = fleet.join()
        await asyncio.sleep(TURNOVER)
        await fleet.leave(guest)
        await asyncio.sleep(TURNOVER / 2)
        changes += 2
    return changes
