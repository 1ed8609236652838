"""How much may be fetched, and from which partitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core_messaging.options import OnFullRetries
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.commit_metadata import LIMIT

LITTLE = 8  # less room than one part in so many counts as none

Source = TypeVar("Source", bound=TopicPartition | tuple[str, int])


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """Bounds for one worker, counted in messages that were fetched and are not finished.

    - ``records``: messages of all partitions that do not wait for a retry
    - ``size``: bytes of all messages
    - ``partition_records``: messages of one partition beside others
    - ``waiting_retries``: messages that wait for a retry, or behind one. They have a budget of their own, so that keys that
      always fail do not stop the intake for all others. Each partition has its share of it
    - ``on_full``: what happens where that budget is used up; "dead-letter" makes room by itself, so it pauses later
    - ``batch_size``: messages that a batch waits for; 0: no batches
    """

    records: int = 10_000
    size: int = 64 * 1024 * 1024
    partition_records: int = 5_000
    waiting_retries: int = 10_000
    on_full: OnFullRetries = "wait"
    batch_size: int = 0

    @property
    def shared(self) -> int:
        """How many messages all partitions may have in flight together: a little room counts as none."""
        return self.records - self.records // LITTLE

    def fullest(self, partitions: int) -> int:
        """How many messages one of *partitions* can have at hand for a batch."""
        return self.shared if partitions == 1 else min(self.partition_records, self.shared)


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """What to do before the next fetch.

    - ``room``: messages to ask for; 0: do not fetch
    - ``pause``, ``resume``: partitions to pause, and to resume
    - ``over_budget``: assignments with too many waiting retries, and how many fewer would be half of the budget
    - ``metadata_full``: partitions whose finished messages hardly fit into the metadata of a commit any more
    - ``awaiting_unblock``: partitions where no more keys can be blocked and nothing more is read. The record that lifts a block may
      come later, and then nobody sees it
    - ``closed``: partitions of which nothing more comes for now, so a batch takes what is there
    """

    room: int
    pause: tuple[TopicPartition, ...]
    resume: tuple[TopicPartition, ...]
    over_budget: tuple[tuple[Assignment, int], ...] = ()
    metadata_full: tuple[TopicPartition, ...] = ()
    awaiting_unblock: tuple[TopicPartition, ...] = ()
    closed: frozenset[TopicPartition] = frozenset()


NOTE_FULL = LIMIT * 3 // 4  # bytes; the metadata of one more fetch has to fit too
LEAST = 100  # messages of one partition, so that fetches stay large where there are very many partitions
ROOMY = 0.5  # share of full; below it a paused partition is resumed
FIRST_PIECE = 16  # messages to ask for from a partition that has none at hand while others have enough


@dataclass(frozen=True, slots=True)
class _Level:
    """How full one partition is. ``waiting``, ``noted`` and ``flowing`` are shares by what fills it; 1 is full."""

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
    """Decide what to do before the next fetch.

    A partition is paused when it is full, so that it does not take the room of the others. It is resumed at half of that, so
    that it does not flap. A fetch of a few records costs more than it brings, so a little room counts as none. *held_back* are
    paused while the batches of others are filled (``BatchSchedule.without_room``).
    """
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
        room = (
            0  # a fetch from no partition would keep the engine from telling the group that this member lives
        )
    return FlowPlan(
        room,
        pause=pause,
        resume=resume,
        over_budget=tuple(_over_budget(mine, budget)),
        metadata_full=tuple(level.assignment.source for level in levels if level.noted >= 1),
        awaiting_unblock=tuple(_awaiting_unblock(levels, too_large=too_large)),
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


def _awaiting_unblock(levels: Iterable[_Level], *, too_large: bool) -> Iterator[TopicPartition]:
    for level in levels:
        if level.assignment.blocked_keys.full and (level.waiting >= 1 or too_large):
            yield level.assignment.source


def _too_large(levels: Sequence[_Level], size: int) -> bool:
    # The exact sum takes longer, so it is looked at only where it can matter.
    if sum(level.unfinished * level.assignment.offsets.largest_record for level in levels) < size:
        return False
    return sum(level.assignment.offsets.held_bytes for level in levels) >= size


def _share(limits: FlowLimits, partitions: int) -> int:
    """Return how many messages one partition may hold, so that there is room for each.

    Two of four partitions once held all of it, and kept the others waiting for hours under ordering "partition", where more
    messages of the same partition give no runner work.
    """
    share = max(LEAST, limits.shared // partitions, min(limits.batch_size, limits.shared))
    return min(limits.partition_records, share)


def _is_roomy(level: _Level, limits: FlowLimits) -> bool:
    """Whether a paused partition is resumed: it is half empty, or its next batch is not full."""
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
    """Return the partitions that have nothing to start while others (*working*) have enough.

    A message of theirs must not wait at the broker until the backlog of the others is through. Partitions with much in flight
    are left out: more messages of them would start nothing.
    """
    return [
        assignment.source
        for assignment in assignments
        if assignment not in working and assignment.source not in paused and assignment.in_flight < LEAST
    ]


def share_out(
    sources: Iterable[Source], limit: int, read: Callable[[Source, int], Sequence[Record]]
) -> dict[Source, list[Record]]:
    """Return up to *limit* records of *sources*: an equal part of each, and where one has fewer, more of the others.

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
