"""Batches of messages, and what of a partition is in none yet. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence

from core_messaging.records import Record
from core_messaging.rules.assignment import Assignment, Chunk
from core_messaging.rules.held_keys import HeldKeys, Waiting
from core_messaging.rules.job import Job


class Batch:
    """Messages handed to ``process_batch`` together.

    ``members`` are all that it began with. A message leaves its batch when it is settled, and when it has to wait on its own: for a retry, or for its topic.
    """

    __slots__ = ("left", "members")

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.members = tuple(jobs)
        self.left = len(jobs)  # messages that have not left
        for job in jobs:
            job.lane = self

    @property
    def jobs(self) -> list[Job]:
        """Those that have not left."""
        return [job for job in self.members if job.lane is self and not job.chunk.done[job.index]]

    @property
    def assignment(self) -> Assignment:
        """The assignment that the messages of the batch belong to."""
        return self.members[0].assignment


Work = Job | Batch


class Gathering:
    """What came of one partition and is in no batch yet.

    While a key is held, what comes is sifted: ``open`` are the jobs whose keys are not. ``ready`` holds batches that have
    waited already: retries that are due, and halves of a batch that failed as a whole. While there are both, they and
    fresh batches start in turn: ``ready_next`` says whose turn it is.
    """

    __slots__ = ("assignment", "chunks", "dry", "held_keys", "open", "ready", "ready_next", "under_way")

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.chunks: deque[tuple[float, Chunk]] = deque()  # (arrived at, chunk)
        self.open: deque[Waiting] = deque()
        self.held_keys = HeldKeys()
        self.ready: deque[Batch] = deque()
        self.ready_next = True
        self.dry = False  # a fetch brought nothing more of it, so nothing is kept free for its batch
        self.under_way: set[Batch] = set()  # fresh batches that some message has not left

    @property
    def fresh(self) -> int:
        """The number of messages that are in no batch yet."""
        return len(self.open) + sum(chunk.untaken for _, chunk in self.chunks)

    @property
    def has_some(self) -> bool:
        """Whether a fresh batch can be made of it."""
        return bool(self.open or self.chunks)

    @property
    def is_all_there_is(self) -> bool:
        """Whether nothing of the partition runs: all that came is here, or waits for a retry."""
        return self.fresh == self.assignment.unfinished - self.assignment.held

    @property
    def since(self) -> float:
        """When the oldest of it came."""
        return self.open[0][1] if self.open else self.chunks[0][0]

    def gather(self, size: int) -> list[Job]:
        """Up to *size* messages, the oldest first."""
        jobs = [self.open.popleft()[2] for _ in range(min(size, len(self.open)))]
        while self.chunks and len(jobs) < size:
            chunk = self.chunks[0][1]
            stop = min(len(chunk.done), chunk.cursor + size - len(jobs))
            jobs += self._jobs(chunk, stop)
            if not chunk.untaken:
                self.chunks.popleft()
        return jobs

    def _jobs(self, chunk: Chunk, stop: int) -> Iterable[Job]:
        attempts = self.assignment.attempts
        for index in range(chunk.cursor, stop):
            record = chunk.records[index]
            if record is not None:  # else finished before this assignment
                yield Job(chunk, index, record, None, attempts.get(record.offset, 1))
        chunk.cursor = stop

    def spread(self) -> list[Waiting]:
        """All that came, a job each, in its order; it is taken out."""
        spread = list(self.open)
        for arrived, chunk in self.chunks:
            spread += [(job.record.offset, arrived, job) for job in self._jobs(chunk, len(chunk.done))]
        self.open.clear()
        self.chunks.clear()
        return spread

    def sift(self, lane_of: Callable[[Record], Hashable]) -> None:
        """What came of keys that are held waits behind what holds them."""
        unheld = []
        for each in self.spread():
            lane = lane_of(each[2].record)
            if lane in self.held_keys:
                self.held_keys.wait_behind(lane, each[2], each[1])
                self.assignment.held += 1
            else:
                unheld.append(each)
        self.put_back(unheld)

    def late(
        self, lane_of: Callable[[Record], Hashable], delay: Callable[[int], float]
    ) -> dict[float, list[Job]]:
        """Take out what was tried before this assignment and is not due, unless something of its key comes first; by when
        it is due. Those of one key are due together, when the last of them is, so that none overtakes another."""
        late: dict[Hashable, tuple[float, list[Job]]] = {}  # by lane
        lanes = self._lanes_under_way(lane_of)
        kept: list[Waiting] = []
        for each in self.spread():
            offset, arrived, job = each
            lane = lane_of(job.record)
            due = self.assignment.due_of(offset, arrived, delay)
            if due > arrived and lane not in self.held_keys and lane not in lanes:
                place = ("alone", offset) if lane is None else ("lane", lane)
                before, jobs = late.get(place, (due, []))
                late[place] = (max(before, due), [*jobs, job])
            else:
                kept.append(each)
                if lane is not None:
                    lanes.add(lane)
        self.put_back(kept)
        return _by_due(late.values())

    def _lanes_under_way(self, lane_of: Callable[[Record], Hashable]) -> set[Hashable]:
        """Lanes of what runs for the first time: it may yet fail, so what comes after it in its lane is no retry yet."""
        lanes = {lane_of(job.record) for batch in self.under_way for job in batch.jobs}
        return lanes - {None}

    def put_back(self, waiting: Iterable[Waiting]) -> None:
        """*waiting* need not wait for their key any more."""
        self.open = deque(sorted([*self.open, *waiting], key=lambda each: each[0]))


def _by_due(late: Iterable[tuple[float, list[Job]]]) -> dict[float, list[Job]]:
    """Jobs that are due at the same time, in their order."""
    dues: dict[float, list[Job]] = {}
    for due, jobs in late:
        dues.setdefault(due, []).extend(jobs)
    return {due: _in_order(jobs) for due, jobs in dues.items()}


def halves(jobs: Sequence[Job], lane_of: Callable[[Record], Hashable]) -> tuple[list[Job], list[Job]]:
    """*jobs* (two at least) in two parts that share no key, as even as that can be; in the middle where all are of one."""
    lanes: dict[Hashable, list[Job]] = {}
    for job in jobs:
        lane = lane_of(job.record)
        lanes.setdefault(job.record.offset if lane is None else (lane,), []).append(job)
    first: list[Job] = []
    second: list[Job] = []
    for members in sorted(lanes.values(), key=len, reverse=True):
        (first if len(first) <= len(second) else second).extend(members)
    if not second:
        middle = len(jobs) // 2
        return list(jobs[:middle]), list(jobs[middle:])
    return _in_order(first), _in_order(second)


def _in_order(jobs: list[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: job.record.offset)
