"""What can go wrong in a simulation, and when: drawn from a seed, so that the same seed does the same again."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """One thing that happens to a fleet of workers.

    What it can repeat (at least once): after CRASH, EXPEL and FETCH_BROKEN what was in flight or finished since the last
    commit runs again; with COMMIT_REFUSED what was finished since then, where the refused commit is the last one before
    partitions move (JOIN, LEAVE) or comes before one of those three. PUBLISH_UNHEARD stores a result or a dead letter
    twice and repeats no work. After the others each runs exactly once.
    """

    JOIN = "a member joins"
    LEAVE = "a member stops in order"
    CRASH = "a process dies"
    EXPEL = "the group takes a living member for dead"
    COMMIT_REFUSED = "a commit is refused"
    COMMIT_UNHEARD = "a commit is stored, its acknowledgement lost"
    COMMIT_SLOW = "a commit takes seconds"
    PUBLISH_REFUSED = "a record is not stored"
    PUBLISH_UNHEARD = "a record is stored, its acknowledgement lost"
    FETCH_BROKEN = "a consumer is beyond repair"
    UNREACHABLE = "no new connection succeeds for a while"


class ProcessDied(BaseException):
    """Raised by a handler under simulation: its whole process dies here, as by the OOM killer."""


@dataclass(frozen=True, slots=True)
class Planned:
    """*fault* at *at* seconds; *chance* in [0, 1) chooses whom it meets."""

    at: float
    fault: Fault
    chance: float


def draw(seed: int, faults: Iterable[Fault], count: int, seconds: float) -> list[Planned]:
    """*count* faults within *seconds*, in the order they happen."""
    possible = sorted(faults, key=lambda fault: fault.name)
    if not possible:
        return []
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    drawn = [
        Planned(chance.uniform(0, seconds), chance.choice(possible), chance.random()) for _ in range(count)
    ]
    return sorted(drawn, key=lambda planned: planned.at)
