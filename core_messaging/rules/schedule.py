"""Which message may start next. Knows no clock (``now`` is an argument), no task and no Kafka."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import cast

from core_messaging.config import Ordering
from core_messaging.errors import TriedBefore
from core_messaging.records import Record
from core_messaging.rules.assignment import FENCED, Assignment, Chunk, Hold
from core_messaging.rules.job import Condemned, Job

_WHOLE_PARTITION = object()
AHEAD, PIECE = 500, 200  # messages to ask for, where handlers compute and where they wait


def _lane_by_partition(_record: Record) -> Hashable:
    return _WHOLE_PARTITION


def _no_lane(_record: Record) -> Hashable:
    return None


LANES: dict[Ordering, Callable[[Record], Hashable]] = {
    "key": attrgetter("key"),
    "partition": _lane_by_partition,
    "none": _no_lane,
}


def adopt(chunk: Chunk, occupy: Callable[[Job], None]) -> None:
    """Records that come again while their jobs of the last assignment still run: the jobs move to this one."""
    limbo = chunk.assignment.limbo
    for index, offset in enumerate(chunk.offsets):
        job: Job | None = limbo.pop(offset, None)
        if job is None or job.given_up:
            continue
        if job.chunk.done[job.index]:
            chunk.finish(index)
            if (
                job.record.key in job.assignment.blocked
            ):  # dead-lettered in between: what follows it still does
                chunk.assignment.blocked.add(job.record.key)
        else:
            job.chunk, job.index = chunk, index
            chunk.records[index] = None  # taken; the job itself holds the record
            occupy(job)


def _hold(job: Job) -> None:
    """*job* waits for a retry, and so does all that is behind it."""
    assignment = job.chunk.assignment
    assignment.held += 1
    if job.lane is not None:
        assignment.held += len(assignment.busy.get(job.lane) or ())
        assignment.held_lanes.add(job.lane)


def remember_due(jobs: Iterable[Job], due: float) -> None:
    """*jobs* waited for a retry together, and do so no more; their partition may come straight back."""
    for job in jobs:
        if job.sending is None:
            job.assignment.dues[job.record.offset] = due


def _let_go(job: Job) -> None:
    assignment = job.chunk.assignment
    assignment.held -= 1
    if job.lane is not None:
        assignment.held -= len(assignment.busy.get(job.lane) or ())
        assignment.held_lanes.discard(job.lane)


class Schedule:
    """Jobs of all assignments of one worker: fresh, ready, running, waiting behind another, waiting for a retry.

    A lane (a key of a partition, or the whole partition) is busy from the moment its job is taken until that
    job is finished: while it runs, while it waits for a retry, while its result is being published.
    """

    def __init__(
        self,
        ordering: Ordering,
        handed_out: Callable[[], None] = lambda: None,
        delay: Callable[[int], float] = lambda _attempt: 0.0,
    ) -> None:
        """*handed_out* is called when the last message of a fetch is taken; *delay*: seconds before an attempt, by its
        number."""
        self._lane_of = LANES[ordering]
        self._handed_out = handed_out
        self._delay = delay
        self._fresh: deque[Chunk] = deque()
        self._ready: deque[Job] = deque()
        self._retries: list[tuple[float, int, Job]] = []  # a heap by due time
        self._sequence = 0  # breaks ties in the heap in the order of arrival
        self._closed = False

    def deliver(self, assignment: Assignment, records: Sequence[Record], now: float = 0.0) -> None:
        """Take in *records* of an open assignment, in delivered order."""
        if records and assignment.hold is Hold.OPEN and not self._closed:
            chunk = assignment.deliver(records)
            if assignment.limbo:
                adopt(chunk, self._occupy)
            if assignment.waits:
                self._let_wait(chunk, now)
            self._fresh.append(chunk)

    def _let_wait(self, chunk: Chunk, now: float) -> None:
        """What was tried before this assignment waits for the rest of its delay, unless something in its lane comes first:
        a rebalance is no reason to try all that waits at once, and to use up its attempts."""
        assignment = chunk.assignment
        lanes = {self._lane_of(record) for record in self._untaken(assignment)}
        for index, record in enumerate(chunk.records):
            if record is None:
                continue
            lane = self._lane_of(record)
            due = assignment.due_of(record.offset, now, self._delay)
            if due > now and lane not in lanes and lane not in assignment.busy:
                chunk.records[index] = None  # taken; the job itself holds the record
                job = Job(chunk, index, record, lane, assignment.attempts[record.offset])
                self._occupy(job)
                self.retry(job, due)
                assignment.parked[record.offset] = record
            if lane is not None:
                lanes.add(lane)
        assignment.forget_waits(chunk.offsets[-1])

    def _untaken(self, assignment: Assignment) -> Iterator[Record]:
        for chunk in self._fresh:
            if chunk.assignment is assignment:
                yield from (record for record in chunk.records[chunk.cursor :] if record is not None)

    def _occupy(self, job: Job) -> None:
        if job.lane is not None:
            job.assignment.busy[job.lane] = None

    def take(self) -> Job | None:
        """The next job that may run now; its lane is busy until ``finish``. None: nothing may."""
        if self._ready:
            return self._ready.popleft()
        fresh = self._fresh
        while fresh:
            chunk = fresh[0]
            index = chunk.cursor
            if index == len(chunk.done):
                fresh.popleft()
                self._handed_out()
                continue
            chunk.cursor = index + 1
            record = chunk.records[index]
            if record is None:  # finished before this assignment, known from the commit's offset map
                continue
            job = Job(chunk, index, record, self._lane_of(record))
            attempts = chunk.assignment.attempts
            if attempts:  # rarely: an earlier owner of the partition has tried some of its messages
                job.attempt = attempts.get(record.offset, 1)
            lane = job.lane
            if lane is None:
                return job
            busy = chunk.assignment.busy
            if lane not in busy:
                busy[lane] = None
                return job
            self._queue_up(job, busy)
        return None

    def _queue_up(self, job: Job, busy: dict[Hashable, deque[object] | None]) -> None:
        """The job's lane is not free; it waits there."""
        queue = busy[job.lane]
        if queue is None:
            queue = busy[job.lane] = deque()
        queue.append(job)
        if job.lane in job.assignment.held_lanes:
            job.assignment.held += 1

    def condemn(self, assignment: Assignment, record: Record, error: Exception) -> None:
        """Take in *record*, which must not meet the handler again: in its turn it is given up, with *error*.

        Its turn, because what is before it in its lane may still wait for a retry.
        """
        chunk = assignment.deliver([record])
        chunk.cursor = 1
        job = Job(chunk, 0, record, self._lane_of(record))
        job.sending = Condemned(error)
        busy = assignment.busy
        if job.lane in busy:
            self._queue_up(job, busy)
            return
        self._occupy(job)
        self._ready.append(job)

    def finish(self, job: Job) -> bool:
        """The job is settled for good. False: its assignment is gone and the result counts for nothing."""
        chunk, index = job.chunk, job.index
        assignment = chunk.assignment
        if assignment.hold is FENCED:
            return False
        chunk.done[index] = 1
        chunk.records[index] = None
        assignment.unfinished -= 1
        if assignment.attempts:
            assignment.attempts.pop(job.record.offset, None)
            assignment.parked.pop(job.record.offset, None)
        lane = job.lane
        if lane is not None:
            queue = assignment.busy.pop(lane)
            if queue:
                assignment.busy[lane] = queue
                self._next_in_lane(assignment, queue)
        return True

    def _next_in_lane(self, assignment: Assignment, queue: deque[object]) -> None:
        follower = cast("Job", queue.popleft())
        if assignment.hold is Hold.OPEN and not self._closed:
            self._ready.append(follower)

    def retry(self, job: Job, due: float) -> None:
        """The job waits until *due*; it holds no slot, only its lane."""
        if job.assignment.hold is not Hold.OPEN or self._closed:
            job.given_up = True
            return
        self._sequence += 1
        _hold(job)
        if job.attempt > 1:
            job.assignment.attempts[job.record.offset] = job.attempt
        heapq.heappush(self._retries, (due, self._sequence, job))

    def evict(self, assignment: Assignment, count: int) -> int:
        """Condemn up to *count* of the retries that wait in *assignment*, the longest waiting first; how many."""
        waiting = [e for e in self._retries if e[2].assignment is assignment and e[2].sending is None]
        doomed = {entry[1]: entry for entry in sorted(waiting, key=lambda entry: entry[1])[:count]}
        self._retries = [entry for entry in self._retries if entry[1] not in doomed]
        heapq.heapify(self._retries)
        for _, _, job in doomed.values():
            _let_go(job)
            job.sending = Condemned(job.error or TriedBefore(job.attempt))
            job.attempt -= 1  # there will be no next one
            self._ready.append(job)
        return len(doomed)

    def resume(self, job: Job) -> None:
        """The job goes on as soon as a slot is free: what it waited for (not time) has come.

        Also in a draining assignment: a result that is acknowledged now may still be committed.
        """
        if job.assignment.hold is not Hold.FENCED:
            self._ready.append(job)

    def release(self, now: float) -> int:
        """Make the retries due at *now* ready; how many."""
        released = 0
        while self._retries and self._retries[0][0] <= now:
            job = heapq.heappop(self._retries)[2]
            _let_go(job)
            self._ready.append(job)
            released += 1
        return released

    @property
    def next_due(self) -> float | None:
        """When ``release`` has something to do next."""
        return self._retries[0][0] if self._retries else None

    def drain(self, assignment: Assignment) -> None:
        """Revoke, first half: nothing of *assignment* starts any more; what runs may still finish."""
        assignment.hold = Hold.DRAINING
        self._drop(lambda job: job.assignment is assignment)
        self._fresh = deque(chunk for chunk in self._fresh if chunk.assignment is not assignment)

    def fence(self, assignment: Assignment) -> None:
        """Revoke, second half: results of *assignment* count for nothing from here on."""
        if assignment.hold is Hold.OPEN:
            self.drain(assignment)
        assignment.hold = Hold.FENCED
        self._ready = deque(job for job in self._ready if job.assignment is not assignment)

    def close(self) -> None:
        """Shutdown: nothing new starts in any assignment. What the broker gave and did not start is dropped."""
        self._closed = True
        self._fresh.clear()
        self._drop(lambda _job: True)

    def _drop(self, doomed: Callable[[Job], bool]) -> None:
        # A job whose record is being sent is work that is done: it stays, so that it can be settled.
        self._ready = deque(job for job in self._ready if job.sending is not None or not doomed(job))
        kept = []
        for entry in self._retries:
            if doomed(entry[2]):
                _let_go(entry[2])
                remember_due(entry[2].jobs, entry[0])
            else:
                kept.append(entry)
        heapq.heapify(kept)
        self._retries = kept

    @property
    def fresh(self) -> int:
        """Messages that came and were not looked at yet."""
        return sum(chunk.untaken for chunk in self._fresh)

    def wanted(self, waiting: int) -> int:
        """How many more messages to ask for while *waiting* handlers wait for something: enough to have something at hand
        while these are fetched, and few enough to be met again while they are in the processor's cache.

        A fetch is parsed in one go, and a handler whose I/O is over waits for the end of that. So they come in smaller
        pieces where handlers wait; where none does, a larger one costs less a message.
        """
        enough = max(PIECE, 2 * waiting) if waiting else AHEAD
        return enough if self.fresh <= enough else 0

    @property
    def ready(self) -> int:
        """Messages that may run now and are no news: what they waited for is over."""
        return len(self._ready)

    @property
    def waiting_retries(self) -> int:
        return len(self._retries)
