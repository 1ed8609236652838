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
    """A partition pauses when it is full and resumes at half of that: pausing throws away what the client has
    prefetched, so it must not flap. The whole worker has no hysteresis: no room just means no fetch."""
    pause: list[TopicPartition] = []
    resume: list[TopicPartition] = []
    flowing = held = size = 0
    for assignment in assignments:
        waiting = assignment.held
        unfinished = assignment.unfinished
        flowing += unfinished - waiting
        held += waiting
        size += assignment.held_bytes
        if assignment.source in paused:
            if unfinished <= limits.partition_records // 2:
                resume.append(assignment.source)
        elif unfinished >= limits.partition_records:
            pause.append(assignment.source)
    room = max(0, limits.records - flowing)
    if held >= limits.held or size >= limits.size:
        room = 0
    return IntakePlan(room, tuple(pause), tuple(resume))
