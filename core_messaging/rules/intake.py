"""How much may be fetched: one rule in one place. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds for one worker, counted in messages that were fetched and are not finished.

    ``held`` bounds messages that wait for a retry, or behind one: they have a budget of their own, so that
    keys that fail for ever do not close the intake for all others.
    """

    records: int = 10_000
    size: int = 64 * 1024 * 1024  # bytes of values
    partition_records: int = 5_000
    held: int = 10_000


@dataclass(frozen=True, slots=True)
class IntakePlan:
    """What to do before the next fetch."""

    room: int  # messages to ask for; 0: do not fetch
    pause: tuple[TopicPartition, ...]
    resume: tuple[TopicPartition, ...]


def plan(
    assignments: Iterable[Assignment], paused: frozenset[TopicPartition], limits: IntakeLimits
) -> IntakePlan:
    """A partition pauses when it is full, so that it does not take the room of the others, and resumes at half
    of that, so that it does not flap. One that is alone is never paused: no room does the same. Fetches of a few
    records each would cost more than they bring, so a little room is none."""
    mine = list(assignments)
    share = max(limits.partition_records, limits.records // max(1, len(mine)))
    pause: list[TopicPartition] = []
    resume: list[TopicPartition] = []
    flowing = held = size = 0
    for assignment in mine:
        unfinished = assignment.unfinished
        flowing += unfinished - assignment.held
        held += assignment.held
        size += assignment.held_bytes
        if assignment.source in paused:
            if unfinished <= share // 2 or len(mine) == 1:
                resume.append(assignment.source)
        elif unfinished >= share and len(mine) > 1:
            pause.append(assignment.source)
    room = limits.records - flowing
    if room < limits.records // 8 or room < 1 or held >= limits.held or size >= limits.size:
        room = 0
    return IntakePlan(room, tuple(pause), tuple(resume))
