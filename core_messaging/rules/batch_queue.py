"""Messages of one partition that are in no batch yet, and batches that are under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable

from core_messaging.rules.assignment import Assignment
from core_messaging.rules.batch import Batch, in_order
from core_messaging.rules.chunk import Chunk
from core_messaging.rules.held_keys import HeldKeys, Waiting
from core_messaging.rules.job import Job
from core_messaging.rules.lanes import LaneOf


class BatchQueue:
    """Messages of one partition for batches.

    While a key is held, what comes is sifted: ``open`` are the jobs whose keys are not held. ``ready`` holds batches that have
    waited already: retries that are due, and halves of a batch that failed as a whole. While there are both, they and fresh
    batches start in turn.

    - ``chunks``: (arrived at, chunk) of the messages that are not sifted
    - ``held_keys``: what waits behind a message of its key
    - ``under_way``: fresh batches that at least one message has not left
    - ``is_dry``: a fetch brought nothing more of the partition, so no room is kept for the rest of its batch
    """

    __slots__ = (
        "_batches",
        "_is_ready_next",
        "assignment",
        "chunks",
        "held_keys",
        "is_dry",
        "open",
        "ready",
        "under_way",
    )

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.chunks: deque[tuple[float, Chunk]] = deque()
        self.open: deque[Waiting] = deque()
        self.held_keys = HeldKeys()
        self.ready: deque[Batch] = deque()
        self.under_way: set[Batch] = set()
        self.is_dry = False
        self._is_ready_next = True
        self._batches: dict[Job, Batch] = {}  # the batch that each job is in

    def add(self, chunk: Chunk, now: float) -> None:
        """*chunk* has come *now*."""
        self.chunks.append((now, chunk))
        self.is_dry = False

    def ran_dry(self) -> None:
        """A fetch that had room for more brought nothing of the partition."""
        self.is_dry = True

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
        return self.fresh == self.assignment.in_flight

    @property
    def since(self) -> float:
        """When the oldest message here came."""
        return self.open[0][1] if self.open else self.chunks[0][0]

    @property
    def is_turn_of_ready(self) -> bool:
        """Whether a batch that has waited already starts next."""
        return bool(self.ready) and self._is_ready_next

    def next_ready(self) -> Batch:
        """Take out the batch that is ready for the longest time. A fresh one has the next turn."""
        self._is_ready_next = False
        return self.ready.popleft()

    def next_fresh(self, size: int) -> Batch | None:
        """Make a batch of up to *size* messages, the oldest first; None where all were finished before this assignment.

        A batch that is ready has the next turn.
        """
        jobs = self._gather(size)
        if not jobs:
            return None
        self._is_ready_next = True
        batch = self.enter(jobs)
        self.under_way.add(batch)
        return batch

    def _gather(self, size: int) -> list[Job]:
        jobs = [self.open.popleft()[2] for _ in range(min(size, len(self.open)))]
        while self.chunks and len(jobs) < size:
            chunk = self.chunks[0][1]
            jobs += self._jobs(chunk, size - len(jobs))
            if not chunk.untaken:
                self.chunks.popleft()
        return jobs

    def _jobs(self, chunk: Chunk, count: int) -> Iterable[Job]:
        attempts = self.assignment.retries.next_attempts
        for index, record in chunk.take(count):
            yield Job(self.assignment, chunk, index, record, None, attempts.get(record.offset, 1))

    def enter(self, jobs: Iterable[Job]) -> Batch:
        """Make a batch of *jobs*."""
        batch = Batch(list(jobs))
        self._batches.update(dict.fromkeys(batch.members, batch))
        return batch

    def leave(self, job: Job) -> None:
        """*job* leaves its batch, if it is in one."""
        batch = self._batches.pop(job, None)
        if batch is not None and batch.leave(job):
            self.under_way.discard(batch)

    def hold(self, jobs: Iterable[Job], lane_of: LaneOf) -> None:
        """*jobs* leave their batches, and later messages of their keys wait for them."""
        for job in jobs:
            self.leave(job)
            self.held_keys.hold(lane_of(job.record), job)
        if self.held_keys:
            self.sift(lane_of)

    def wait_behind(self, jobs: Iterable[Job], lane_of: LaneOf) -> None:
        """*jobs* leave their batches, and wait behind an earlier message of their key."""
        for job in jobs:
            self.leave(job)
            self._hold_back(lane_of(job.record), job, float("-inf"))

    def _hold_back(self, lane: Hashable, job: Job, arrived: float) -> None:
        self.held_keys.wait_behind(lane, job, arrived)
        self.assignment.retries.add_waiting(1)

    def settle(self, job: Job, lane: Hashable) -> None:
        """*job* is settled: what waited behind it in *lane* may go on."""
        freed = self.held_keys.settle(lane, job)
        if not freed:
            return
        self.assignment.retries.remove_waiting(len(freed))
        if freed[0][2].attempt > 1:
            self.ready.append(self.enter([waiting[2] for waiting in freed]))
        else:
            self._put_back(freed)

    def sift(self, lane_of: LaneOf) -> None:
        """Messages whose keys are held wait behind the message that holds them."""
        unheld = []
        for each in self._spread():
            lane = lane_of(each[2].record)
            if lane in self.held_keys:
                self._hold_back(lane, each[2], each[1])
            else:
                unheld.append(each)
        self._put_back(unheld)

    def _spread(self) -> list[Waiting]:
        """Take out all messages that came, a job for each, in their order."""
        spread = list(self.open)
        for arrived, chunk in self.chunks:
            spread += [(job.record.offset, arrived, job) for job in self._jobs(chunk, chunk.untaken)]
        self.open.clear()
        self.chunks.clear()
        return spread

    def _put_back(self, waiting: Iterable[Waiting]) -> None:
        self.open = deque(sorted([*self.open, *waiting], key=lambda each: each[0]))

    def take_out_early(self, lane_of: LaneOf, delay: Callable[[int], float]) -> dict[float, list[Job]]:
        """Take out messages that were tried before this assignment and are not due yet, by the time when they are due.

        *delay*: seconds before an attempt, by its number. A message stays where an earlier one of its key comes first. Those
        of one key are due together, when the last of them is, so that none overtakes another.
        """
        early: dict[Hashable, tuple[float, list[Job]]] = {}  # by lane
        lanes = self._lanes_under_way(lane_of)
        kept: list[Waiting] = []
        for each in self._spread():
            offset, arrived, job = each
            lane = lane_of(job.record)
            due = self.assignment.retries.due_time(offset, arrived, delay)
            if due > arrived and lane not in self.held_keys and lane not in lanes:
                place = ("alone", offset) if lane is None else ("lane", lane)
                before, jobs = early.get(place, (due, []))
                early[place] = (max(before, due), [*jobs, job])
            else:
                kept.append(each)
                if lane is not None:
                    lanes.add(lane)
        self._put_back(kept)
        return _by_due(early.values())

    def _lanes_under_way(self, lane_of: LaneOf) -> set[Hashable]:
        """Lanes of messages that run for the first time. They may fail, so later messages of their lanes are no retries yet."""
        lanes = {lane_of(job.record) for batch in self.under_way for job in batch.jobs}
        return lanes - {None}


def _by_due(early: Iterable[tuple[float, list[Job]]]) -> dict[float, list[Job]]:
    """Jobs that are due at the same time, in their order."""
    dues: dict[float, list[Job]] = {}
    for due, jobs in early:
        dues.setdefault(due, []).extend(jobs)
    return {due: in_order(jobs) for due, jobs in dues.items()}
