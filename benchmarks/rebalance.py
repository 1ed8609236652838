"""How long a consumer group stands still when one of its processes is killed and replaced, joins, or leaves.

``make rebalance`` runs three processes of one worker beside 500 messages a second on 12 partitions, three times. It shows
the medians. Exit code 1 where a bar is missed. The silence of a partition is the longest time between two of its messages.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.group import CALM, PARTITIONS, SESSION, Group, percentile, send_forever, silence, until
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions

PROCESSES, ROUNDS = 3, 3


@dataclass(frozen=True, slots=True)
class Killed:
    """SIGKILL and a replacement a second later. All in seconds; ``calm`` and ``calm_p99`` are of the time before.

    ``back``: from the start of the replacement until each partition of the dead process has been processed again.
    """

    survivors: float
    calm: float
    p99: float
    calm_p99: float
    dead: float
    back: float


@dataclass(frozen=True, slots=True)
class Change:
    """A join or a leave: the longest silence of the partitions that stay, and of those that move, in seconds."""

    stays: float
    moves: float


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of one run. ``exit``: seconds from SIGTERM to the end of a process whose group waits."""

    killed: Killed
    join: Change
    leave: Change
    exit: float


@dataclass(frozen=True, slots=True)
class Bar:
    """What the median of a figure may be at most; None: it is shown without a bar."""

    name: str
    figure: Callable[[Round], float]
    limit: float | None
    unit: str = "s"

    def median(self, rounds: Sequence[Round]) -> float:
        return median(self.figure(each) for each in rounds)

    def reached(self, rounds: Sequence[Round]) -> bool:
        return self.limit is None or self.median(rounds) <= self.limit


BARS = (
    Bar("SIGKILL and a replacement: longest silence of survivors", lambda r: r.killed.survivors, 0.5),
    Bar("the same: longest silence before, undisturbed", lambda r: r.killed.calm, None),
    Bar("the same: p99 of survivors beside undisturbed", lambda r: r.killed.p99 / r.killed.calm_p99, 2, "x"),
    Bar("the same: p99 of survivors", lambda r: r.killed.p99, None),
    Bar("the same: longest silence of what the dead process owned", lambda r: r.killed.dead, None),
    Bar(
        "the same: from the start of the replacement until it is processed again", lambda r: r.killed.back, 3
    ),
    Bar("join: longest silence of what stays", lambda r: r.join.stays, 0.3),
    Bar("join: longest silence of what moves", lambda r: r.join.moves, 3),
    Bar("leave: longest silence of what stays", lambda r: r.leave.stays, 0.3),
    Bar("leave: longest silence of what moves", lambda r: r.leave.moves, 3),
    Bar("SIGTERM while the group waits: exit", lambda r: r.exit, 2),
)


def lines(rounds: Sequence[Round]) -> list[str]:
    """One line for each figure, with its bar and the figure of every round."""
    return [_line(bar, rounds) for bar in BARS] if rounds else []


def _line(bar: Bar, rounds: Sequence[Round]) -> str:
    verdict = "reached" if bar.reached(rounds) else "MISSED"
    wanted = "" if bar.limit is None else f" (bar <= {bar.limit:g} {bar.unit}, {verdict})"
    each = ", ".join(f"{bar.figure(one):.2f}" for one in rounds)
    return f"{bar.name}: {bar.median(rounds):.2f} {bar.unit}{wanted}; {each}"


async def _killed(group: Group) -> Killed:
    owners, began = group.owners(), time.time()
    victim = group.processes[2]
    mine = {partition for partition, pid in owners.items() if pid == victim.pid}
    others = owners.keys() - mine
    calm = group.handled(began - CALM)
    victim.kill()
    victim.wait()
    await asyncio.sleep(1)
    replaced = time.time()
    group.join()
    await until(lambda: mine <= _first_by_others(group, victim.pid, began).keys(), SESSION + 60)
    first, handled = _first_by_others(group, victim.pid, began), group.handled(began)
    return Killed(
        survivors=silence(handled, others, began),
        calm=silence(calm, others, began - CALM),
        p99=percentile(handled, others),
        calm_p99=percentile(calm, others),
        dead=silence(handled, mine, began),
        back=max(first[partition] for partition in mine) - replaced,
    )


def _first_by_others(group: Group, pid: int, began: float) -> dict[int, float]:
    """Partition -> when another process than *pid* handled a message of it for the first time after *began*."""
    handled = [each for each in group.handled(began) if each.pid != pid]
    return {each.partition: each.time for each in reversed(handled)}


async def _joined(group: Group) -> Change:
    owners, began = group.owners(), time.time()
    group.join()
    await group.settled(PROCESSES + 1)
    moved = {partition for partition, pid in group.owners().items() if pid != owners[partition]}
    handled = group.handled(began)
    return Change(silence(handled, owners.keys() - moved, began), silence(handled, moved, began))


async def _left(group: Group) -> Change:
    owners, began = group.owners(), time.time()
    leaver = group.processes[0]
    leaver.send_signal(signal.SIGTERM)
    await asyncio.to_thread(leaver.wait)
    mine = {partition for partition, pid in owners.items() if pid == leaver.pid}
    await until(lambda: group.owners().keys() == owners.keys() and leaver.pid not in group.owners().values())
    await asyncio.sleep(CALM)
    handled = group.handled(began)
    return Change(silence(handled, owners.keys() - mine, began), silence(handled, mine, began))


async def _left_while_the_group_waits(group: Group) -> float:
    """Let one process stand still, so that the group waits for it; stop another one that has not been let in."""
    silent = group.processes[1]
    silent.send_signal(signal.SIGSTOP)
    waits = group.join()
    await until(lambda: group.said(waits, "joining group"), SESSION)
    await asyncio.sleep(1)
    began = time.time()
    waits.send_signal(signal.SIGTERM)
    await asyncio.to_thread(waits.wait)
    took = time.time() - began
    silent.send_signal(signal.SIGCONT)
    return took


async def _round(folder: Path, address: str) -> Round:
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
        await group.settled(PROCESSES)
        killed = await _killed(group)
        await group.settled(PROCESSES)
        joined = await _joined(group)
        left = await _left(group)
        return Round(killed, joined, left, await _left_while_the_group_waits(group))
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        group.end()


def measure(address: str, rounds: int = ROUNDS) -> list[Round]:
    """Run *rounds* rounds, each with a topic and processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return [asyncio.run(_round(Path(folder) / str(number), address)) for number in range(rounds)]


@contextmanager
def _broker() -> Iterator[str]:
    """The broker of KAFKA_BOOTSTRAP_SERVERS, or one of our own."""
    if address := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield address
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        ApacheCluster(ApacheOptions(folder=Path(folder))) as cluster,
    ):
        yield cluster.address


def main() -> int:
    """Measure and print."""
    with _broker() as address:
        rounds = measure(address)
    print(*lines(rounds), sep="\n")
    return 0 if all(bar.reached(rounds) for bar in BARS) else 1


if __name__ == "__main__":
    raise SystemExit(main())
