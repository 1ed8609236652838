"""SIGTERM at random moments under load, again and again: exit code 0, in time, nothing repeated."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from pathlib import Path
from uuid import uuid4

from chaos.cluster import Cluster
from chaos.fleet import Fleet, until
from chaos.ledger import Ledger, project
from chaos.trial import Books, books_of, records

SHARE = 200  # messages in a round, on average; a handler takes 20 ms and 8 run at once


def _has(ledger: Ledger, finished: int) -> bool:
    return len(ledger.finished()) >= finished


async def run(cluster: Cluster, folder: Path, rounds: int, seed: int) -> Books:
    """Start one worker and stop it during its work, *rounds* times. Then let it finish.

    Raises RuntimeError where one does not end in order within its shutdown timeout.
    """
    topic, dlq, started = f"chaos-{uuid4().hex[:8]}", f"chaos-dlq-{uuid4().hex[:8]}", time.time()
    cluster.make_topics(topic, dlq)
    chance, count = random.Random(seed), rounds * SHARE
    await cluster.publish(topic, records(count, chance))
    home = folder / "shutdowns"
    home.mkdir(parents=True)
    ledger = Ledger(project(home, topic, dlq))
    fleet = Fleet(home, cluster.proxied)
    try:
        for _ in range(rounds):
            member, goal = fleet.join(), min(len(ledger.finished()) + chance.randrange(SHARE), count * 3 // 4)
            await until(partial(_has, ledger, goal), fleet)
            await until(member.has_partitions, fleet)
            await asyncio.sleep(chance.uniform(0, 0.1))
            await fleet.leave(member)
        fleet.join()
        await cluster.worked_off(topic, fleet.check)
        await fleet.stop()
    finally:
        fleet.end()
    return await books_of(f"SIGTERM x {rounds}", cluster, dlq, ledger, [], count, time.time() - started)
