"""Which batch may start next: the same rules as ``schedule``, for workers with a ``batch_size``."""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Callable, Sequence

from core_messaging.config import Ordering
from core_messaging.records import Record
from core_messaging.rules.assignment import Assignment, Chunk, Hold
from core_messaging.rules.job import Condemned, Job
from core_messaging.rules.partition_queue import SettlementQueue
from core_messaging.rules.schedule import remember_due


class Group:
    """The messages gathered into one batch, until the last of them is settled.

    The batch may fall apart on the way (retries of a part, halves that look for the bad message); ``queue``
    holds what of it has to wait for its elder sibling. The partition's order waits for the whole group.
    """

    __slots__ = ("active", "left", "queue")

    def __init__(self, size: int) -> None:
        self.left = size  # messages that are not settled
        self.active = 1  # batches that are neither over nor in the queue
        self.queue: deque[Batch] = deque()


class Batch:
    """Messages handed to ``process_batch`` together. ``isolating``: retries are over, the bad one is looked for."""

    __slots__ = ("attempt", "group", "isolating", "jobs", "left")

    def __init__(self, jobs: Sequence[Job], group: Group, attempt: int = 1) -> None:
        self.jobs = jobs
        self.group = group
        self.attempt = attempt
        self.left = len(jobs)
        self.isolating = False
        for job in jobs:
            job.lane = self

    @property
    def assignment(self) -> Assignment:
        return self.jobs[0].assignment


Work = Job | Batch


class _Gathering:
    """What came of one partition and is in no batch yet, and batches of it that have waited already.

    ``ready`` holds batches that are due for a retry, and halves of a batch that failed as a whole. While there are both,
    they and new batches start in turn: ``ready_next`` says whose turn it is.
    """

    __slots__ = ("assignment", "chunks", "groups", "late", "ready", "ready_next")

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.chunks: deque[tuple[float, Chunk]] = deque()  # (arrived at, chunk)
        self.ready: deque[Batch] = deque()
        self.ready_next = True
        self.groups = 0  # under way
        self.late: list[
            tuple[float, Job]
        ] = []  # of what was gathered last, what was tried before: (due, job)

    @property
    def fresh(self) -> int:
        return sum(chunk.untaken for _, chunk in self.chunks)

    def gather(self, size: int, now: float, delay: Callable[[int], float]) -> list[Job]:
        jobs: list[Job] = []
        self.late.clear()
        while self.chunks and len(jobs) < size:
            arrived, chunk = self.chunks[0]
            began = arrived if arrived == float("-inf") else now
            stop = min(len(chunk.done), chunk.cursor + size - len(jobs))
            for index in range(chunk.cursor, stop):
                record = chunk.records[index]
                if record is None:  # finished before this assignment
                    continue
                job = Job(chunk, index, record, None)
                job.attempt = self.assignment.attempts.get(record.offset, 1)
                due = self.assignment.due_of(record.offset, began, delay)
                if due > began:
                    self.late.append((due, job))
                jobs.append(job)
            chunk.cursor = stop
            if not chunk.untaken:
                self.chunks.popleft()
        return jobs


class BatchSchedule:
    """Batches of one worker. ``size`` messages of one partition, or what came within ``wait`` seconds.

    Under ``ordering`` "key" and "partition" one group of a partition is under way at a time; under "none" any
    number. Partitions that have a batch to start take turns, one batch each.
    """

    def __init__(
        self,
        ordering: Ordering,
        size: int,
        wait: float,
        handed_out: Callable[[], None] = lambda: None,
        delay: Callable[[int], float] = lambda _attempt: 0.0,
        to_settle: Callable[[], None] = lambda: None,
    ) -> None:
        """*handed_out* is called when a batch is taken; *delay*: seconds before an attempt, by its number; *to_settle* is
        called when something comes into ``settlements``."""
        self._one_at_a_time = ordering != "none"
        self._size = size
        self._wait = wait
        self._handed_out = handed_out
        self._delay = delay
        self.settlements = SettlementQueue(to_settle)
        self._gatherings: dict[Assignment, _Gathering] = {}
        self._turns: deque[_Gathering] = deque()  # all of them, the next one first
        self._retries: list[tuple[float, int, Work]] = []
        self._sequence = 0
        self._closed = False

    def deliver(self, assignment: Assignment, records: Sequence[Record], now: float = 0.0) -> None:
        """Take in *records* of an open assignment, in delivered order."""
        if not records or assignment.hold is not Hold.OPEN or self._closed:
            return
        self._gathering_of(assignment).chunks.append((now, assignment.deliver(records)))

    def _gathering_of(self, assignment: Assignment) -> _Gathering:
        gathering = self._gatherings.get(assignment)
        if gathering is None:
            gathering = self._gatherings[assignment] = _Gathering(assignment)
            self._turns.append(gathering)
        return gathering

    def take(self, now: float = 0.0) -> Batch | None:
        """The next batch that may run now."""
        for _ in range(len(self._turns)):
            gathering = self._turns[0]
            self._turns.rotate(-1)
            if (batch := self._next_of(gathering, now)) is not None:
                return batch
        return None

    def _next_of(self, gathering: _Gathering, now: float) -> Batch | None:
        """The partition has its turn."""
        if not (gathering.ready and gathering.ready_next):
            new = self._new_batch(gathering, now)
            if new is not None:
                gathering.ready_next = True
                return new
        if not gathering.ready:
            return None
        gathering.ready_next = False
        return gathering.ready.popleft()

    def _new_batch(self, gathering: _Gathering, now: float) -> Batch | None:
        while self._may_start(gathering, now):
            jobs = gathering.gather(self._size, now, self._delay)
            if jobs:
                self._handed_out()
            if gathering.late:
                jobs = self._let_wait(gathering, jobs)
            if jobs:
                gathering.groups += 1
                return Batch(jobs, Group(len(jobs)))
        return None

    def _let_wait(self, gathering: _Gathering, jobs: list[Job]) -> list[Job]:
        """What was tried before this assignment waits for the rest of its delay: with all that came with it where order
        is asked, else among itself. What need not wait."""
        due = max(due for due, _ in gathering.late)
        late = jobs if self._one_at_a_time else [job for _, job in gathering.late]
        gathering.groups += 1
        self.retry(Batch(late, Group(len(late))), due)
        return [] if self._one_at_a_time else [job for job in jobs if job not in late]

    def _may_start(self, gathering: _Gathering, now: float) -> bool:
        if not gathering.chunks or (self._one_at_a_time and gathering.groups):
            return False
        return gathering.fresh >= self._size or now >= gathering.chunks[0][0] + self._wait

    def evict(self, _assignment: Assignment, _count: int) -> int:
        """Batches are not taken apart for a budget; the options do not let anybody ask for it."""
        return 0

    def condemn(self, assignment: Assignment, record: Record, error: Exception) -> None:
        """Take in *record*, which must not meet the handler again: it is given up, with *error*."""
        chunk = assignment.deliver([record])
        chunk.cursor = 1
        self._gathering_of(assignment).groups += 1
        job = Batch([Job(chunk, 0, record, None)], Group(1)).jobs[0]
        job.sending = Condemned(error)
        self.settlements.put(job)

    def finish(self, job: Job) -> bool:
        """The job is settled for good. False: its assignment is gone and the result counts for nothing."""
        assignment = job.assignment
        if assignment.hold is Hold.FENCED:
            return False
        # Spelled out rather than called: this is done for every message.
        job.chunk.done[job.index] = 1
        job.chunk.records[job.index] = None
        assignment.unfinished -= 1
        if assignment.attempts:
            assignment.attempts.pop(job.record.offset, None)
        batch = job.lane
        assert isinstance(batch, Batch)  # noqa: S101 - for the type checker; gather() sets nothing else
        batch.left -= 1
        batch.group.left -= 1
        if batch.left == 0:
            self._batch_over(batch.group, assignment)
        if batch.group.left == 0 and assignment in self._gatherings:
            self._gatherings[assignment].groups -= 1
        return True

    def _batch_over(self, group: Group, assignment: Assignment) -> None:
        group.active -= 1
        if group.active == 0 and group.queue and self._open(assignment):
            group.active += 1
            self._make_ready(group.queue.popleft())

    def _make_ready(self, work: Work) -> None:
        """*work* may go on: a batch in its partition's turn, a message without a handler as soon as somebody settles it."""
        if isinstance(work, Batch):
            self._gathering_of(work.assignment).ready.append(work)
        else:
            self.settlements.put(work)

    def retry(self, work: Work, due: float) -> None:
        """*work* waits until *due*; it holds no slot, only its partition's order."""
        if not self._open(work.assignment):
            return
        self._sequence += 1
        for job in work.jobs:
            if job.attempt > 1:
                work.assignment.attempts[job.record.offset] = job.attempt
        work.assignment.held += len(work.jobs) if isinstance(work, Batch) else 1
        heapq.heappush(self._retries, (due, self._sequence, work))

    def again(self, batch: Batch, jobs: Sequence[Job], due: float) -> None:
        """*jobs* of *batch* failed and are tried again together; the others are settled on their own."""
        rest = Batch(jobs, batch.group, batch.attempt + 1)
        rest.isolating = batch.isolating
        batch.group.active += 1
        batch.left -= len(jobs)
        if batch.left == 0:
            self._batch_over(batch.group, batch.assignment)
        self.retry(rest, due)

    def split(self, batch: Batch, jobs: Sequence[Job]) -> None:
        """Look for the bad one among *jobs*, the unsettled ones of *batch*: the halves run one after the other,
        each once, until it is alone."""
        middle = len(jobs) // 2
        second = self._isolating(batch, jobs[middle:])
        first = self._isolating(batch, jobs[:middle])
        batch.group.queue.appendleft(second)
        # The first half takes the place of the batch, which has nothing left of its own.
        if self._open(batch.assignment):
            self._make_ready(first)

    def _isolating(self, batch: Batch, jobs: Sequence[Job]) -> Batch:
        half = Batch(jobs, batch.group, batch.attempt)
        half.isolating = True
        return half

    def resume(self, job: Job) -> None:
        """The job can be settled: what it waited for (not time) has come."""
        if job.assignment.hold is not Hold.FENCED:
            self.settlements.put(job)

    def release(self, now: float) -> int:
        """Make the retries due at *now* ready; how many runners may find something to do."""
        released = 0
        while self._retries and self._retries[0][0] <= now:
            work = heapq.heappop(self._retries)[2]
            self._unhold(work)
            self._make_ready(work)
            released += 1
        full = sum(1 for gathering in self._gatherings.values() if self._may_start(gathering, now))
        return released + full

    @property
    def next_due(self) -> float | None:
        """When ``release`` has something to do next: a retry, or a batch that has waited long enough."""
        times = [self._retries[0][0]] if self._retries else []
        times += [
            gathering.chunks[0][0] + self._wait
            for gathering in self._gatherings.values()
            if gathering.chunks and not (self._one_at_a_time and gathering.groups)
        ]
        return min(times, default=None)

    def drain(self, assignment: Assignment) -> None:
        """Revoke, first half: nothing of *assignment* starts any more; what runs may still finish."""
        assignment.hold = Hold.DRAINING
        self._drop(lambda work: work.assignment is assignment)
        gathering = self._gatherings.pop(assignment, None)
        self._turns = deque(other for other in self._turns if other is not gathering)

    def fence(self, assignment: Assignment) -> None:
        """Revoke, second half: results of *assignment* count for nothing from here on."""
        if assignment.hold is Hold.OPEN:
            self.drain(assignment)
        assignment.hold = Hold.FENCED
        self.settlements.forget(assignment)

    def close(self) -> None:
        """Shutdown: nothing new starts in any assignment."""
        self._closed = True
        self._gatherings.clear()
        self._turns.clear()
        self._drop(lambda _work: True)

    def _drop(self, doomed: Callable[[Work], bool]) -> None:
        kept = []
        for entry in self._retries:
            if doomed(entry[2]):
                self._unhold(entry[2])
                remember_due(entry[2].jobs, entry[0])
            else:
                kept.append(entry)
        heapq.heapify(kept)
        self._retries = kept

    def _unhold(self, work: Work) -> None:
        work.assignment.held -= len(work.jobs) if isinstance(work, Batch) else 1

    def _open(self, assignment: Assignment) -> bool:
        return assignment.hold is Hold.OPEN and not self._closed

    @property
    def fresh(self) -> int:
        """Messages that came and are in no batch yet."""
        return sum(gathering.fresh for gathering in self._gatherings.values())

    def working(self) -> set[Assignment]:
        """Which partitions have messages for a batch at hand."""
        return {gathering.assignment for gathering in self._turns if gathering.fresh or gathering.ready}

    def wanted(self, _waiting: int) -> int:
        """Whatever there is room for: each partition needs a batch of its own, and they do not come in turn."""
        return sys.maxsize

    @property
    def waiting_retries(self) -> int:
        return sum(len(work.jobs) for _, _, work in self._retries)
