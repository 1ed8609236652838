"""The faults of a simulation and their times. Both come from a seed, so the same seed gives the same faults."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """One fault that happens to a fleet of workers.

    Some faults repeat messages, because delivery is at least once. After CRASH, EXPEL and FETCH_BROKEN, messages that were
    in flight, or were finished after the last commit, run again. So it is after FREEZE, if it lasts longer than the session.
    After COMMIT_REFUSED and COORDINATOR_MOVED, messages that were finished after the
    last stored commit run again, if a refused commit is the last one before partitions move (JOIN, LEAVE) or before one
    of the four faults above. PUBLISH_UNHEARD stores a result or a dead letter twice, and repeats no message. With the
    other faults, each message runs exactly once.
    """

    JOIN = "a member joins"
    LEAVE = "a member stops in order"
    CRASH = "a process dies"
    EXPEL = "the group takes a living member for dead"
    FREEZE = "a process is stopped for a while and goes on"
    COORDINATOR_MOVED = "a group has no coordinator for a while"
    PARTITION_ADDED = "a topic gets another partition"
    COMMIT_REFUSED = "a commit is refused"
    COMMIT_UNHEARD = "a commit is stored, its acknowledgement lost"
    COMMIT_SLOW = "a commit takes seconds"
    PUBLISH_REFUSED = "a record is not stored"
    PUBLISH_UNHEARD = "a record is stored, its acknowledgement lost"
    FETCH_BROKEN = "a consumer is beyond repair"
    UNREACHABLE = "no new connection succeeds for a while"


class ProcessDied(BaseException):
    """Raise it in a handler under simulation to let its process die, as with the kernel's OOM killer."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault and its time. ``at``: seconds since the start. ``chance``: in [0, 1), chooses the process that it hits."""

    at: float
    fault: Fault
    chance: float


def draw(seed: int, faults: Iterable[Fault], count: int, seconds: float) -> list[Planned]:
    """Draw *count* of *faults* within *seconds*; return them in the order of their times."""
    possible = sorted(faults, key=lambda fault: fault.name)
    if not possible:
        return []
    chance = random.Random(seed)  # noqa: S311 - it has to be repeatable, not secret
    drawn = [
        Planned(chance.uniform(0, seconds), chance.choice(possible), chance.random()) for _ in range(count)
    ]
    return sorted(drawn, key=lambda planned: planned.at)
