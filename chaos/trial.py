"""One trial: a topic full of messages, three workers, faults, and the check of the ledger."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaConsumer

from chaos.cluster import Cluster
from chaos.faults import FAULTS, Exposure, Scene
from chaos.fleet import CONCURRENCY, Fleet, until
from chaos.ledger import Entry, Ledger, project

MEMBERS = 3
KEYS = 200
SECONDS = 0.02  # average time of a handler


@dataclass(frozen=True)
class Books:
    """What became of the messages, and the bound of repeats."""

    name: str
    sent: int
    finished: int
    dead_lettered: int
    lost: int
    out_of_order: int
    repeated: int
    bound: int
    seconds: float

    @property
    def balanced(self) -> bool:
        return not self.lost and not self.out_of_order and self.repeated <= self.bound


def records(count: int, chance: random.Random) -> list[tuple[bytes, bytes]]:
    """One message in 50 fails once, one in 200 always."""

    def message(n: int) -> dict[str, object]:
        fails = 99 if n % 199 == 7 else int(n % 50 == 3)
        return {
            "n": n,
            "key": f"key-{n % KEYS}",
            "seconds": chance.uniform(0, 2 * SECONDS),
            "fails": fails,
        }

    return [(b"key-%d" % (n % KEYS), json.dumps(message(n)).encode()) for n in range(count)]


async def run(
    name: str, faults: Sequence[str], cluster: Cluster, folder: Path, count: int, seed: int
) -> Books:
    """Process *count* messages while *faults* happen one after the other. Raises RuntimeError, TimeoutError."""
    topic, dlq, started = f"chaos-{uuid4().hex[:8]}", f"chaos-dlq-{uuid4().hex[:8]}", time.time()
    cluster.make_topics(topic, dlq)
    chance = random.Random(seed)
    await cluster.publish(topic, records(count, chance))
    home = folder / name
    home.mkdir(parents=True)
    ledger = Ledger(project(home, topic, dlq))
    fleet = Fleet(home, cluster.proxied)
    try:
        for _ in range(MEMBERS):
            fleet.join()
        await until(lambda: len(ledger.finished()) > count // 5, fleet)
        exposures = await _break(faults, Scene(cluster, fleet, topic, dlq, chance))
        await cluster.worked_off(topic, fleet.check)
        await fleet.stop()
    finally:
        fleet.end()
    return await books_of(name, cluster, dlq, ledger, exposures, count, time.time() - started)


async def _break(faults: Sequence[str], scene: Scene) -> list[Exposure]:
    exposures: list[Exposure] = []
    for fault in faults:
        exposures += await FAULTS[fault](scene)
        await asyncio.sleep(1)  # a pause between two faults
    return exposures


async def books_of(
    name: str,
    cluster: Cluster,
    dlq: str,
    ledger: Ledger,
    exposures: Sequence[Exposure],
    count: int,
    seconds: float,
) -> Books:
    """Read the ledger and the dead-letter queue at the end."""
    finished, letters = ledger.finished(), await _dead_letters(cluster.address, dlq)
    return Books(
        name=name,
        sent=count,
        finished=len(finished),
        dead_lettered=len(letters),
        lost=count - len(finished | letters),
        out_of_order=len(ledger.out_of_order()),
        repeated=len(ledger.repeats()),
        bound=_bound(ledger.entries(), exposures),
        seconds=seconds,
    )


def _bound(entries: Sequence[Entry], exposures: Sequence[Exposure]) -> int:
    """Count what the faults may repeat: what was finished during them, or in flight in their processes."""
    finishes = [entry for entry in entries if entry.event == "finish"]
    total = 0
    for exposed in exposures:
        mine = [
            e for e in finishes if exposed.pid in (None, e.pid) and exposed.begin <= e.time <= exposed.end
        ]
        total += len(mine) + CONCURRENCY * (1 if exposed.pid else MEMBERS)
    return total


async def _dead_letters(address: str, dlq: str) -> set[int]:
    found: set[int] = set()
    async with AIOKafkaConsumer(
        dlq, bootstrap_servers=address, auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        left = sum((await consumer.end_offsets(list(consumer.assignment()))).values())
        async with asyncio.timeout(30):
            while left > 0:
                for letters in (await consumer.getmany(timeout_ms=500)).values():
                    found |= {json.loads(letter.value)["n"] for letter in letters}
                    left -= len(letters)
    return found
