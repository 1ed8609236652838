"""Which message may start next. Knows no clock (``now`` is an argument), no task and no Kafka."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import cast

from core_messaging.errors import TriedBefore
from core_messaging.options import Ordering
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import FENCED, Assignment, Chunk, Hold
from core_messaging.rules.job import GivingUp, Job
from core_messaging.rules.lanes import LANE_OF
from core_messaging.rules.partition_queue import PartitionQueue, SettlementQueue

AHEAD, PIECE = 500, 200  # messages to ask for, where handlers compute and where they wait


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
            chunk.assignment.adopted[offset] = job
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


class MessageSchedule:
    """Jobs of all assignments of one worker: fresh, ready, running, waiting behind another, waiting for a retry.

    A lane (a key of a partition, or the whole partition) is busy from the moment its job is taken until that
    job is finished: while it runs, while it waits for a retry, while its result is being published.

    Partitions that have something to start take turns, one message each. In a partition, fresh messages and those that
    have waited already (retries that are due, messages whose lane has become free) take turns as well. So a message waits
    for two rounds of the partitions and for what is before it in its own partition, whatever the backlog of the others.
    What needs no handler takes no turn: it goes to ``settlements``.
    """

    def __init__(
        self,
        ordering: Ordering,
        handed_out: Callable[[], None] = lambda: None,
        delay: Callable[[int], float] = lambda _attempt: 0.0,
        to_settle: Callable[[], None] = lambda: None,
    ) -> None:
        """*handed_out* is called when the last message of a fetch is taken; *delay*: seconds before an attempt, by its
        number; *to_settle* is called when something comes into ``settlements``."""
        self._lane_of = LANE_OF[ordering]
        self._handed_out = handed_out
        self._delay = delay
        self.settlements = SettlementQueue(to_settle)
        self._queues: dict[Assignment, PartitionQueue] = {}
        self._turns: deque[PartitionQueue] = (
            deque()
        )  # of those that may have something to start, the next one first
        self._only: Assignment | None = None  # the one that is isolated
        self._ready = 0  # jobs in ``ready`` of all queues
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
            queue = self._queue_of(assignment)
            queue.chunks.append(chunk)
            self._line_up(queue)

    def _queue_of(self, assignment: Assignment) -> PartitionQueue:
        queue = self._queues.get(assignment)
        if queue is None:
            queue = self._queues[assignment] = PartitionQueue(assignment)
        return queue

    def _line_up(self, queue: PartitionQueue) -> None:
        if not queue.in_turn:
            queue.in_turn = True
            if self._only is None or queue.assignment is self._only:
                self._turns.append(queue)

    def isolate(self, assignment: Assignment | None) -> None:
        """Start messages of *assignment* only; None: of all again."""
        self._only = assignment
        lined_up = (queue for queue in self._queues.values() if queue.in_turn)
        self._turns = deque(queue for queue in lined_up if assignment in (None, queue.assignment))

    def _make_ready(self, job: Job) -> None:
        """*job* may go on: with its handler in its partition's turn, or without one as soon as somebody settles it."""
        if job.sending is not None:
            self.settlements.put(job)
            return
        queue = self._queue_of(job.assignment)
        queue.ready.append(job)
        self._ready += 1
        self._line_up(queue)

    def _let_wait(self, chunk: Chunk, now: float) -> None:
        """What was tried before this assignment waits for the rest of its delay, unless something in its lane comes first:
        a rebalance is no reason to try all that waits at once, and to use up its attempts."""
        assignment = chunk.assignment
        lanes = {self._lane_of(record) for record in self._queue_of(assignment).untaken()}
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

    def _occupy(self, job: Job) -> None:
        if job.lane is not None:
            job.assignment.busy[job.lane] = None

    def take(self) -> Job | None:  # noqa: C901 - each part would cost one function call for each message
        """The next job whose handler may run now; its lane is busy until ``finish``. None: nothing may."""
        turns = self._turns
        while turns:
            queue = turns[0]
            turns.rotate(-1)
            ready, chunks = queue.ready, queue.chunks
            while chunks and not (ready and queue.ready_next):
                chunk = chunks[0]
                index = chunk.cursor
                if index == len(chunk.done):
                    chunks.popleft()
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
                busy = chunk.assignment.busy
                if lane in busy:  # None never is
                    self._queue_up(job, busy)
                    continue
                if lane is not None:
                    busy[lane] = None
                queue.ready_next = True
                return job
            if ready:
                queue.ready_next = False
                self._ready -= 1
                return ready.popleft()
            turns.pop()  # nothing is left to start: it has just become the last one
            queue.in_turn = False
        return None

    def _queue_up(self, job: Job, busy: dict[Hashable, deque[object] | None]) -> None:
        """The job's lane is not free; it waits there."""
        queue = busy[job.lane]
        if queue is None:
            queue = busy[job.lane] = deque()
        queue.append(job)
        if job.lane in job.assignment.held_lanes:
            job.assignment.held += 1

    def give_up_in_turn(self, assignment: Assignment, record: Record, error: Exception) -> None:
        """Take in *record*, which must not meet the handler again: in its turn it is given up, with *error*.

        Its turn, because what is before it in its lane may still wait for a retry.
        """
        chunk = assignment.deliver([record])
        chunk.cursor = 1
        job = Job(chunk, 0, record, self._lane_of(record))
        job.sending = GivingUp(error)
        busy = assignment.busy
        if job.lane in busy:
            self._queue_up(job, busy)
            return
        self._occupy(job)
        self.settlements.put(job)

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
            self._make_ready(follower)

    def retry(self, job: Job, due: float) -> None:
        """The job waits until *due*; it holds no slot, only its lane. Where nothing starts any more, its attempt is noted
        for the commit, and for the next owner."""
        if job.counted_attempt > 1:
            job.assignment.attempts[job.record.offset] = job.counted_attempt
        if job.assignment.hold is not Hold.OPEN or self._closed:
            job.given_up = True
            remember_due([job], due)
            return
        self._sequence += 1
        _hold(job)
        heapq.heappush(self._retries, (due, self._sequence, job))

    def evict(self, assignment: Assignment, count: int) -> int:
        """Condemn up to *count* of the retries that wait in *assignment*, the longest waiting first; how many."""
        waiting = [e for e in self._retries if e[2].assignment is assignment and e[2].sending is None]
        doomed = {entry[1]: entry for entry in sorted(waiting, key=lambda entry: entry[1])[:count]}
        self._retries = [entry for entry in self._retries if entry[1] not in doomed]
        heapq.heapify(self._retries)
        for _, _, job in doomed.values():
            _let_go(job)
            job.sending = GivingUp(job.error or TriedBefore(job.attempt))
            job.attempt -= 1  # there will be no next one
            self.settlements.put(job)
        return len(doomed)

    def resume(self, job: Job) -> None:
        """The job can be settled: what it waited for (not time) has come.

        Also in a draining assignment: a result that is acknowledged now may still be committed.
        """
        if job.assignment.hold is not Hold.FENCED:
            self.settlements.put(job)

    def release(self, now: float) -> int:
        """Make the retries due at *now* ready; how many."""
        released = 0
        while self._retries and self._retries[0][0] <= now:
            job = heapq.heappop(self._retries)[2]
            _let_go(job)
            self._make_ready(job)
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
        queue = self._queues.pop(assignment, None)
        if queue is not None:
            self._ready -= len(queue.ready)
            self._turns = deque(other for other in self._turns if other is not queue)

    def fence(self, assignment: Assignment) -> None:
        """Revoke, second half: results of *assignment* count for nothing from here on."""
        if assignment.hold is Hold.OPEN:
            self.drain(assignment)
        assignment.hold = Hold.FENCED
        self.settlements.forget(assignment)

    def carry_over(self, old: Assignment, new: Assignment, running: Iterable[Job]) -> bool:
        """The *running* jobs of *old* go on in *new*: their records are not started again when they come again."""
        old.successor = new
        new.limbo = {job.record.offset: job for job in running}
        return True

    def close(self) -> None:
        """Shutdown: nothing new starts in any assignment. What the broker gave and did not start is dropped."""
        self._closed = True
        self._queues.clear()
        self._turns.clear()
        self._ready = 0
        self._drop(lambda _job: True)

    def _drop(self, doomed: Callable[[Job], bool]) -> None:
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
        return sum(queue.fresh for queue in self._queues.values() if queue.in_turn)

    def working(self) -> set[Assignment]:
        """Whose messages may start now: the partitions of one round."""
        return {queue.assignment for queue in self._turns if queue.has_work}

    def wanted(self, waiting: int) -> int:
        """How many more messages to ask for while *waiting* handlers wait for something: enough to have something at hand
        while these are fetched, and few enough to be met again while they are in the processor's cache.

        A fetch is parsed in one go, and a handler whose I/O is over waits for the end of that. So they come in smaller
        pieces where handlers wait; where none does, a larger one costs less a message.
        """
        enough = max(PIECE, 2 * waiting) if waiting else AHEAD
        return enough if self.fresh <= enough else 0

    def crowded_out(self, _capacity: int) -> frozenset[Assignment]:
        """None: single messages wait for no others to fill a batch."""
        return frozenset()

    def cut_off(self, _sources: frozenset[TopicPartition]) -> int:
        """0: single messages do not wait for more to come."""
        return 0

    def ran_dry(self, _sources: Collection[TopicPartition]) -> None:
        """Nothing: no room is kept for the rest of a batch."""

    @property
    def ready(self) -> int:
        """Messages that may run now and are no news: what they waited for is over."""
        return self._ready

    @property
    def waiting_retries(self) -> int:
        """The number of messages that wait for a retry."""
        return len(self._retries)
