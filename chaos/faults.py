"""The faults. Each one ends by itself and returns which processes may repeat work because of it."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chaos.cluster import Cluster
from chaos.fleet import COMMIT_INTERVAL, SESSION, Fleet, until

# A commit that is under way during the fault is not acknowledged. The one before it was.
SINCE_COMMIT = 2 * COMMIT_INTERVAL + 1.0  # seconds, with what a busy machine adds
REGROUP = SESSION + 10.0  # seconds until the group has noticed that a member or its coordinator is gone


@dataclass(frozen=True)
class Exposure:
    """What one process, or all of them, finished between two times (seconds since the epoch) may run again.

    So may what was in flight: the concurrency of each such process.
    """

    begin: float
    end: float
    pid: int | None = None


@dataclass(frozen=True)
class Scene:
    """What a fault works on."""

    cluster: Cluster
    fleet: Fleet
    topic: str  # the group has the same name
    dlq: str
    chance: random.Random


Act = Callable[[Scene], Awaitable[list[Exposure]]]


async def sigkill(scene: Scene) -> list[Exposure]:
    member = scene.chance.choice(scene.fleet.members)
    now = scene.fleet.kill(member)
    return [Exposure(now - SINCE_COMMIT, now, member.pid)]


async def sigterm(scene: Scene) -> list[Exposure]:
    """Everything that runs is finished and committed, so nothing is repeated."""
    await scene.fleet.leave(scene.chance.choice(scene.fleet.members))
    scene.fleet.join()
    return []


async def sigstop(scene: Scene) -> list[Exposure]:
    """Stop a process for longer than its session. When it wakes, other members have its partitions."""
    member = scene.chance.choice(scene.fleet.members)
    began = time.time()
    member.send(signal.SIGSTOP)
    await asyncio.sleep(SESSION + 3)
    member.send(signal.SIGCONT)
    woke = time.time()
    # What it finishes before it knows that it was expelled does not count. The others process it too.
    return [Exposure(began - SINCE_COMMIT, woke + SINCE_COMMIT, member.pid)]


async def join_and_leave(scene: Scene) -> list[Exposure]:
    for _ in range(2):
        scene.fleet.join()
        await asyncio.sleep(3)
        await scene.fleet.leave(scene.fleet.members[0])
    return []


async def broker_killed(scene: Scene) -> list[Exposure]:
    node = scene.chance.choice(scene.cluster.nodes)
    began = time.time()
    node.kill()
    await asyncio.sleep(5)
    await asyncio.to_thread(node.start)
    await asyncio.to_thread(node.wait_until_ready)
    await scene.cluster.all_replicas_back()
    return [Exposure(began - SINCE_COMMIT, time.time() + REGROUP)]


async def leader_moved(scene: Scene) -> list[Exposure]:
    """Stop a leader until it is replaced. It wakes as a follower, and is elected again."""
    node = scene.chance.choice(scene.cluster.nodes)
    began = time.time()
    node.pause()
    await asyncio.sleep(5)
    node.resume()
    await scene.cluster.all_replicas_back()
    await asyncio.to_thread(scene.cluster.elect_preferred_leaders)
    return [Exposure(began - SINCE_COMMIT, time.time() + REGROUP)]


async def coordinator_killed(scene: Scene) -> list[Exposure]:
    """Kill the coordinator while the group waits for a process that stands still, and a new one wants to join."""
    silent = scene.chance.choice(scene.fleet.members)
    began = time.time()
    silent.send(signal.SIGSTOP)
    joins = scene.fleet.join()
    await until(joins.is_joining, scene.fleet)
    await asyncio.sleep(1)
    node = await asyncio.to_thread(scene.cluster.coordinator, scene.topic)
    node.kill()
    await asyncio.sleep(SESSION)  # the new coordinator gives each member a new session
    silent.send(signal.SIGCONT)
    await asyncio.to_thread(node.start)
    await asyncio.to_thread(node.wait_until_ready)
    await scene.cluster.all_replicas_back()
    await scene.fleet.leave(joins)
    return [Exposure(began - SINCE_COMMIT, time.time() + REGROUP)]


async def connections_cut(scene: Scene) -> list[Exposure]:
    """Cut all connections three times. Then refuse new ones for two seconds."""
    began = time.time()
    for _ in range(3):
        for proxy in scene.cluster.proxies:
            proxy.cut()
        await asyncio.sleep(1)
    await asyncio.gather(*(proxy.refuse(2) for proxy in scene.cluster.proxies))
    return [Exposure(began - SINCE_COMMIT, time.time() + REGROUP)]


async def dlq_refused(scene: Scene) -> list[Exposure]:
    """Let the dead-letter queue refuse records. Keys with a dead letter wait, and nothing is committed past them."""
    await asyncio.to_thread(scene.cluster.require_replicas, scene.dlq, 4)
    await asyncio.sleep(5)
    await asyncio.to_thread(scene.cluster.require_replicas, scene.dlq, 2)
    return []


FAULTS: dict[str, Act] = {
    "SIGKILL": sigkill,
    "SIGTERM": sigterm,
    "SIGSTOP": sigstop,
    "join-and-leave": join_and_leave,
    "broker-killed": broker_killed,
    "leader-moved": leader_moved,
    "coordinator-killed": coordinator_killed,
    "connections-cut": connections_cut,
    "dlq-refused": dlq_refused,
}
