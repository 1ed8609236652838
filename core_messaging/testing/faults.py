"""What can go wrong in a simulation, and when: drawn from a seed, so that the same seed does the same again."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """One thing that happens to a fleet of workers.

    After CRASH, EXPEL and FETCH_BROKEN messages may be repeated (at least once); after all others each runs exactly once.
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
