"""How much may be fetched: one rule in one place. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core_messaging.options import OnFullRetries
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.commit_metadata import LIMIT

LITTLE = 8  # one part in so many of the room is none

Source = TypeVar("Source", bound=TopicPartition | tuple[str, int])


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """Bounds for one worker, counted in messages that were fetched and are not finished.

    ``waiting_retries`` bounds messages that wait for a retry, or behind one: they have a budget of their own, so that
    keys that fail for ever do not close the intake for all others. Each partition has its share of it.
    """

    records: int = 10_000
    size: int = 64 * 1024 * 1024  # bytes of values
    partition_records: int = 5_000
    waiting_retries: int = 10_000
    on_full: OnFullRetries = "wait"  # "dead-letter" makes room by itself, so it pauses later
    batch_size: int = 0  # messages that a batch waits for; 0: no batches

    @property
    def shared(self) -> int:
        """What partitions may have in flight together: a little room is none."""
        return self.records - self.records // LITTLE

    def fullest(self, partitions: int) -> int:
        """How many messages one of *partitions* can have at hand for a batch."""
        return self.shared if partitions == 1 else min(self.partition_records, self.shared)


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """What to do before the next fetch."""

    room: int  # messages to ask for; 0: do not fetch
    pause: tuple[TopicPartition, ...]
    resume: tuple[TopicPartition, ...]
    # Whose waiting retries are too many, and how many fewer would be half of the budget.
    over_budget: tuple[tuple[Assignment, int], ...] = ()
    crowded: tuple[TopicPartition, ...] = ()  # whose note hardly fits beside the commit any more
    # Where no more keys can be blocked and no more is read, so that the record that lifts a block may never be seen.
    stranded: tuple[TopicPartition, ...] = ()
    closed: frozenset[TopicPartition] = (
        frozenset()
    )  # nothing comes from these: what they have is all there is


NOTE_FULL = LIMIT * 3 // 4  # bytes; what one more fetch adds has to fit too
LEAST = 100  # messages of one partition, so that fetches stay large where there are very many of them
ROOMY = 0.5  # of full; below it a partition that was paused goes on
FIRST_PIECE = 16  # messages to ask for of a partition that has none at hand while others have enough


@dataclass(frozen=True, slots=True)
class _Level:
    """How full one partition is, by each thing that can fill it; 1 is full."""

    assignment: Assignment
    unfinished: int
    in_flight: int
    waiting: float
    noted: float
    flowing: float

    @property
    def highest(self) -> float:
        return max(self.waiting, self.noted, self.flowing)


def plan(
    assignments: Iterable[Assignment],
    paused: frozenset[TopicPartition],
    limits: FlowLimits,
    held_back: Collection[Assignment] = (),
) -> FlowPlan:
    """A partition pauses when it is full, so that it does not take the room of the others, and resumes at half
    of that, so that it does not flap. Fetches of a few records each would cost more than they bring, so a little
    room is none. *held_back* pause while the batches of others are filled (``BatchSchedule.crowded_out``)."""
    mine = list(assignments)
    budget = max(1, limits.waiting_retries // max(1, len(mine)))
    levels = [_level(assignment, limits, budget, len(mine)) for assignment in mine]
    too_large = _too_large(levels, limits.size)
    room = 0 if too_large else _room(levels, limits)
    waits = {assignment.source for assignment in held_back}
    full = {level.assignment.source for level in levels if level.highest >= 1} | waits
    roomy = {level.assignment.source for level in levels if _is_roomy(level, limits)} - waits
    pause = tuple(a.source for a in mine if a.source in full and a.source not in paused)
    resume = tuple(a.source for a in mine if a.source in roomy and a.source in paused)
    pausing = paused.union(pause).difference(resume)
    closed = pausing - waits if room else frozenset(a.source for a in mine)
    if mine and pausing.issuperset(a.source for a in mine):
        room = 0  # a fetch of nothing would look like one, and nobody would tell the group that we are alive
    return FlowPlan(
        room,
        pause=pause,
        resume=resume,
        over_budget=tuple(_over_budget(mine, budget)),
        crowded=tuple(level.assignment.source for level in levels if level.noted >= 1),
        stranded=tuple(_stranded(levels, too_large=too_large)),
        closed=closed if limits.batch_size else frozenset(),
    )


def _room(levels: Sequence[_Level], limits: FlowLimits) -> int:
    room = limits.records - sum(level.in_flight for level in levels)
    if room < limits.records // LITTLE or room < 1:
        return 0
    if len(levels) == 1:
        return room
    # No more at once than one partition may hold: they may all be of one.
    # Before the group has decided nobody knows how many they will be.
    return min(room, _share(limits, len(levels)) if levels else LEAST)


def _over_budget(assignments: Iterable[Assignment], budget: int) -> Iterator[tuple[Assignment, int]]:
    for assignment in assignments:
        waiting = assignment.retries.waiting
        if waiting >= budget and not assignment.blocked_keys.full:
            yield assignment, waiting - budget // 2


def _stranded(levels: Iterable[_Level], *, too_large: bool) -> Iterator[TopicPartition]:
    for level in levels:
        if level.assignment.blocked_keys.full and (level.waiting >= 1 or too_large):
            yield level.assignment.source


def _too_large(levels: Sequence[_Level], size: int) -> bool:
    # The exact sum takes longer, so it is looked at only where it can matter.
    if sum(level.unfinished * level.assignment.offsets.largest_record for level in levels) < size:
        return False
    return sum(level.assignment.offsets.held_bytes for level in levels) >= size


def _share(limits: FlowLimits, partitions: int) -> int:
    """What one partition may hold of all the room, so that there is some for each. Two of four that held all of it
    kept the others waiting for hours under ordering "partition", where more of the same gives nobody work."""
    share = max(LEAST, limits.shared // partitions, min(limits.batch_size, limits.shared))
    return min(limits.partition_records, share)


def _is_roomy(level: _Level, limits: FlowLimits) -> bool:
    """Whether a partition that was paused goes on: it is half empty, or its next batch is not full."""
    return level.highest <= ROOMY or (level.highest < 1 and level.in_flight < limits.batch_size)


def _level(assignment: Assignment, limits: FlowLimits, budget: int, partitions: int) -> _Level:
    unfinished, waits = assignment.unfinished, assignment.retries.waiting
    in_flight = unfinished - waits
    share = _share(limits, partitions) if partitions > 1 else limits.records
    # The messages of a partition that is alone do not pause it: no room does the same.
    flowing = in_flight / share if partitions > 1 else 0.0
    if assignment.blocked_keys.full:
        # Messages there wait for a record that comes later, so the partition is read on, as far as there is memory.
        return _Level(assignment, unfinished, in_flight, waits / max(2 * budget, share), 0.0, flowing)
    # What "dead-letter" cannot make room of (dead letters that are not acknowledged, say) stops the intake as well.
    waiting = waits / (budget if limits.on_full == "wait" else 2 * budget)
    noted = assignment.metadata_size(unfinished) / NOTE_FULL
    return _Level(assignment, unfinished, in_flight, waiting, noted, flowing)


def quiet(
    assignments: Iterable[Assignment], working: Collection[Assignment], paused: Collection[TopicPartition]
) -> list[TopicPartition]:
    """Partitions that have nothing to start while others (*working*) have enough: a message of theirs must not wait at the
    broker until the backlog of the others is through. Not those that have much in flight: more of the same starts nothing.
    """
    return [
        assignment.source
        for assignment in assignments
        if assignment not in working and assignment.source not in paused and assignment.in_flight < LEAST
    ]


def share_out(
    sources: Iterable[Source], limit: int, read: Callable[[Source, int], Sequence[Record]]
) -> dict[Source, list[Record]]:
    """Up to *limit* records of *sources*, an equal part of each; what one does not need of its part goes to the others.

    ``read(source, count)`` brings the next records of *source*, at most *count*; fewer mean that it has no more.
    """
    taken: dict[Source, list[Record]] = {}
    left = deque(sources)
    while left and limit > 0:
        part = max(1, limit // len(left))
        for _ in range(len(left)):
            source, asked = left.popleft(), min(part, limit)
            records = read(source, asked) if asked else ()
            if records:
                taken.setdefault(source, []).extend(records)
                limit -= len(records)
            if len(records) >= asked:
                left.append(source)
    return taken
