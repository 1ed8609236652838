"""Which batch may start next, for workers with a ``batch_size``."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

from core_messaging.options import Ordering
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import FENCED, Assignment, AssignmentState
from core_messaging.rules.batch import Batch, Work, halves
from core_messaging.rules.batch_queue import BatchQueue
from core_messaging.rules.flow_control import LITTLE
from core_messaging.rules.job import Job
from core_messaging.rules.lanes import LANE_OF
from core_messaging.rules.message_schedule import release_retries
from core_messaging.rules.partition_queue import SettlementQueue
from core_messaging.rules.retry_queue import RetryQueue


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full, and which batches may run at the same time.

    - ``size``: messages of a full batch
    - ``wait``: seconds after which a batch starts that is not full
    - ``one_at_a_time``: of one partition, the next fresh batch waits for the one before
    - ``one_by_one``: each message of a batch has a call of its own, so jobs that failed apart may be tried again together
    """

    size: int
    wait: float
    one_at_a_time: bool
    one_by_one: bool


class BatchSchedule:
    """The schedule of a worker with a ``batch_size``.

    A batch has ``size`` messages of one partition, or those that came within ``wait`` seconds. Under ``ordering`` "key" and
    "partition" one fresh batch of a partition is under way at a time; under "none" any number. A message that waits for a
    retry, or for a topic that does not take its record, holds up its key only (the whole partition under "partition").
    Partitions that have a batch to start take turns, one batch each.
    """

    def __init__(  # noqa: PLR0913 - all but three have defaults
        self,
        ordering: Ordering,
        size: int,
        wait: float,
        handed_out: Callable[[], None] = lambda: None,
        delay: Callable[[int], float] = lambda _attempt: 0.0,
        to_settle: Callable[[], None] = lambda: None,
        *,
        one_by_one: bool = False,
    ) -> None:
        """*ordering*: which messages wait for each other. *size*, *wait*, *one_by_one*: see ``BatchLimits``.

        *handed_out* is called when a batch is taken. *delay*: seconds before an attempt, by its number. *to_settle* is called
        when a job comes into ``settlements``.
        """
        self._limits = BatchLimits(size, wait, one_at_a_time=ordering != "none", one_by_one=one_by_one)
        self.lane_of: Callable[[Record], Hashable] = LANE_OF[ordering]
        self._handed_out = handed_out
        self._delay = delay
        self.settlements = SettlementQueue(to_settle)
        self._queues: dict[Assignment, BatchQueue] = {}
        self._turns: deque[BatchQueue] = deque()  # all of them, or the isolated one; the next one first
        self._isolated: Assignment | None = None
        self._retries: RetryQueue[Work] = RetryQueue()
        self._closed = False
        self._missing = sys.maxsize  # messages that the batches lack that are filled now
        self._cut_off: frozenset[TopicPartition] = frozenset()  # no more can come from these for now

    def deliver(self, assignment: Assignment, records: Sequence[Record], now: float = 0.0) -> None:
        """Take in *records* of an open assignment, in the order of their offsets."""
        if not records or not self._is_open(assignment):
            return
        queue = self._queue_of(assignment)
        queue.add(assignment.deliver(records), now)
        if assignment.retries.has_inherited:
            self._let_wait(queue)
            assignment.retries.delivered_up_to(records[-1].offset)
        if queue.held_keys:
            queue.sift(self.lane_of)

    def _queue_of(self, assignment: Assignment) -> BatchQueue:
        queue = self._queues.get(assignment)
        if queue is None:
            queue = self._queues[assignment] = BatchQueue(assignment)
            if self._isolated is None or assignment is self._isolated:
                self._turns.append(queue)
        return queue

    def isolate(self, assignment: Assignment | None) -> None:
        """Start batches of *assignment* only; None: of all assignments again."""
        self._isolated = assignment
        self._turns = deque(
            queue for queue in self._queues.values() if assignment in (None, queue.assignment)
        )

    def _let_wait(self, queue: BatchQueue) -> None:
        """Messages that were tried before this assignment wait for the rest of their delay.

        Those that are due at the same time wait together, as the batch that they were.
        """
        for due, jobs in queue.take_out_early(self.lane_of, self._delay).items():
            self._put_aside(jobs, due)

    def take(self, now: float = 0.0) -> Batch | None:
        """The next batch that may run *now*; None: no batch may start."""
        for _ in range(len(self._turns)):
            queue = self._turns[0]
            self._turns.rotate(-1)
            if (batch := self._next_of(queue, now)) is not None:
                return batch
        return None

    def _next_of(self, queue: BatchQueue, now: float) -> Batch | None:
        """The partition of *queue* has its turn."""
        if not queue.is_turn_of_ready and (fresh := self._new_batch(queue, now)) is not None:
            return fresh
        if not queue.ready:
            return None
        batch = queue.next_ready()
        return self._joined(batch, queue) if self._limits.one_by_one else batch

    def _joined(self, batch: Batch, queue: BatchQueue) -> Batch:
        """*batch*, and batches that are ready beside it; their keys differ."""
        jobs = batch.jobs
        while queue.ready and len(jobs) + len(queue.ready[0].jobs) <= self._limits.size:
            jobs += queue.next_ready().jobs
        return queue.enter(jobs)

    def _new_batch(self, queue: BatchQueue, now: float) -> Batch | None:
        while self._may_start(queue, now):
            batch = queue.next_fresh(self._limits.size)
            if batch is not None:
                self._handed_out()
                self._cut_off -= {queue.assignment.source}  # its end makes room
                return batch
        return None

    def _may_start(self, queue: BatchQueue, now: float) -> bool:
        if not queue.has_some or self._waits_for_another(queue):
            return False
        if queue.fresh >= self._limits.size or now >= queue.since + self._limits.wait:
            return True
        # It cannot become full. Where another one is full, that one makes room for more.
        return queue.assignment.source in self._cut_off and not any(map(self._is_full, self._turns))

    def _waits_for_another(self, queue: BatchQueue) -> bool:
        return self._limits.one_at_a_time and bool(queue.under_way)

    def _is_full(self, queue: BatchQueue) -> bool:
        return queue.fresh >= self._limits.size and not self._waits_for_another(queue)

    def cut_off(self, sources: frozenset[TopicPartition]) -> int:
        """Nothing comes from *sources* for now, so their batches need not wait for more. Returns how many may start by that.

        Where messages of the partition run, they make room by their end, and its batch waits all the same.
        """
        before = self._cut_off
        idle = (queue.assignment.source for queue in self._turns if queue.is_all_there_is)
        self._cut_off = sources.intersection(idle)
        new = self._cut_off - before
        return sum(1 for q in self._turns if q.assignment.source in new and self._may_start(q, -math.inf))

    def without_room(self, capacity: int) -> set[Assignment]:
        """Assignments whose next batch does not fit into *capacity* messages beside those that have waited longer.

        If all batches were filled at the same time, none of them would ever be full.
        """
        self._missing = sys.maxsize
        if len(self._turns) * self._limits.size <= capacity:
            return set()
        begun = sorted((q for q in self._turns if q.has_some), key=lambda q: (q.since, q.assignment.source))
        self._missing, out = self._filled_now(begun, capacity)
        if not self._missing and not any(map(self._is_full, begun)):
            # Of partitions that have nothing, or no more, a little.
            self._missing = max(len(self._turns), capacity // LITTLE)
        return out

    def _filled_now(self, begun: Sequence[BatchQueue], capacity: int) -> tuple[int, set[Assignment]]:
        """How many messages are missing in the batches being filled, and which assignments wait until they are full."""
        in_flight = sum(queue.assignment.in_flight for queue in self._turns)
        # Where nothing runs and nothing can, one must be filled, whatever it takes.
        is_idle = in_flight == sum(queue.fresh for queue in begun) and not any(map(self._is_full, begun))
        missing, out = 0, set()
        for queue in (queue for queue in begun if not queue.is_dry):
            more = max(0, self._limits.size - queue.fresh)
            if in_flight + missing + more <= capacity or (is_idle and not missing):
                missing += more
            else:
                out.add(queue.assignment)
        return missing, out

    def ran_dry(self, sources: Collection[TopicPartition]) -> None:
        """A fetch that had room for more brought nothing of *sources*: no room is kept for their batches until a record comes."""
        for queue in self._turns:
            if queue.assignment.source in sources:
                queue.ran_dry()

    def evict(self, _assignment: Assignment, _count: int) -> int:
        """0: batches are not taken apart for a budget. The options of a worker do not let anybody ask for it."""
        return 0

    def give_up_in_turn(self, assignment: Assignment, record: Record, error: Exception) -> None:
        """Take in *record*, which must not meet the handler: it is given up with *error*."""
        queue = self._queue_of(assignment)
        chunk = assignment.deliver([record])
        ((index, _),) = chunk.take(1)
        job = Job(assignment, chunk, index, record, None)
        queue.under_way.add(queue.enter([job]))
        job.wait_for_giving_up(error)
        self.settlements.put(job)

    def finish(self, job: Job) -> bool:
        """*job* is settled for good. False: its assignment is fenced, and the result is dropped."""
        assignment = job.assignment
        if assignment.state is FENCED:
            return False
        job.chunk.done[job.index] = (
            1  # ``Chunk.finish`` does the same; a call for every message would cost more
        )
        job.chunk.records[job.index] = None
        if assignment.retries.next_attempts:
            assignment.retries.forget(job.record.offset)
        queue = self._queues.get(assignment)
        if queue is not None:
            queue.leave(job)
            if queue.held_keys:
                queue.settle(job, self.lane_of(job.record))
        return True

    def _make_ready(self, work: Work) -> None:
        """*work* may go on: a batch in the turn of its partition, a job without a handler as soon as a runner settles it."""
        if isinstance(work, Job):
            self.settlements.put(work)
        elif self._is_open(work.assignment):
            self._queue_of(work.assignment).ready.append(work)

    def retry(self, job: Job, due: float) -> None:
        """*job* waits until *due*. It holds no runner, only its key."""
        if job.sending is None:
            self.again([job], due)
            return
        self._remember([job], due)
        if self._is_open(job.assignment):
            self._queue_of(job.assignment).hold([job], self.lane_of)
            self._push(job, due)

    def again(self, jobs: Sequence[Job], due: float) -> None:
        """*jobs* failed and are tried again together at *due*; the others of their batch are settled on their own."""
        self._remember(jobs, due)
        if self._is_open(jobs[0].assignment):
            self._put_aside(jobs, due)

    def _put_aside(self, jobs: Sequence[Job], due: float) -> None:
        queue = self._queue_of(jobs[0].assignment)
        queue.hold(jobs, self.lane_of)
        self._push(queue.enter(jobs), due)

    def _push(self, work: Work, due: float) -> None:
        work.assignment.retries.add_waiting(len(work.jobs))
        self._retries.push(work, due)

    def _remember(self, jobs: Sequence[Job], due: float) -> None:
        """Note the attempts of *jobs* for the commit and the next owner, also where the partition is being revoked."""
        for job in jobs:
            job.assignment.retries.note_attempt(job.record.offset, job.counted_attempt)
        if not self._is_open(jobs[0].assignment):
            release_retries(jobs, due)

    def wait_behind(self, jobs: Sequence[Job]) -> None:
        """*jobs* did not have their turn: an earlier message of their key has failed, and waits for its retry."""
        if jobs and self._is_open(jobs[0].assignment):
            self._queue_of(jobs[0].assignment).wait_behind(jobs, self.lane_of)

    def split(self, jobs: Sequence[Job]) -> None:
        """Look for the bad message among *jobs*, the unsettled ones of a batch: each half becomes a batch of its own.

        Halves that have a key in common run one after the other.
        """
        if not self._is_open(jobs[0].assignment):
            return
        queue = self._queue_of(jobs[0].assignment)
        queue.hold(jobs, self.lane_of)
        first, second = halves(jobs, self.lane_of)
        queue.ready.append(queue.enter(first))
        if self.lane_of(first[-1].record) == self.lane_of(second[0].record) is not None:
            self.wait_behind(second)
        else:
            queue.ready.append(queue.enter(second))

    def hasten(self, is_meant: Callable[[Job], bool], now: float) -> int:
        """Batches and jobs that wait, and of which *is_meant* says yes to a message, are due *now*. Returns their messages."""
        found = self._retries.hasten(lambda work: any(map(is_meant, work.jobs)), now)
        return sum(len(work.jobs) for work in found)

    def release(self, now: float) -> int:
        """Make the retries ready that are due at *now*. Returns how many runners may find something to do."""
        released = 0
        for work in self._retries.pop_due(now):
            work.assignment.retries.remove_waiting(len(work.jobs))
            self._make_ready(work)
            released += 1
        return released + sum(1 for queue in self._queues.values() if self._may_start(queue, now))

    @property
    def next_due(self) -> float | None:
        """When ``release`` has something to do next: a retry, or a batch that has waited long enough."""
        queues = (q for q in self._queues.values() if q.has_some and not self._waits_for_another(q))
        times = [queue.since + self._limits.wait for queue in queues]
        if self._retries.next_due is not None:
            times.append(self._retries.next_due)
        return min(times, default=None)

    def drain(self, assignment: Assignment) -> None:
        """Revoke, first half: nothing of *assignment* starts any more. What runs may finish and be committed."""
        assignment.drain()
        self._give_back(lambda work: work.assignment is assignment)
        queue = self._queues.pop(assignment, None)
        if queue is not None:
            assignment.retries.remove_waiting(queue.held_keys.behind)
            self._turns = deque(other for other in self._turns if other is not queue)

    def fence(self, assignment: Assignment) -> None:
        """Revoke, second half: results of *assignment* are dropped from here on."""
        if assignment.state is AssignmentState.OPEN:
            self.drain(assignment)
        assignment.fence()
        self.settlements.forget(assignment)

    def carry_over(self, _old: Assignment, _new: Assignment, _running: Iterable[Job]) -> bool:
        """False: batches do not go on in the next assignment, because half of one could not."""
        return False

    def close(self) -> None:
        """Shutdown: nothing starts any more in any assignment."""
        self._closed = True
        self._queues.clear()
        self._turns.clear()
        self._give_back(lambda _work: True)

    def _give_back(self, is_given_back: Callable[[Work], bool]) -> None:
        for work, due in self._retries.remove(is_given_back):
            work.assignment.retries.remove_waiting(len(work.jobs))
            release_retries(work.jobs, due)

    def _is_open(self, assignment: Assignment) -> bool:
        return assignment.state is AssignmentState.OPEN and not self._closed

    def working(self) -> set[Assignment]:
        """Assignments that have messages at hand for a batch that need not wait for the one before."""
        return {q.assignment for q in self._turns if q.ready or (q.fresh and not self._waits_for_another(q))}

    def wanted(self, _waiting: int) -> int:
        """Whatever there is room for, because each partition needs a batch of its own.

        Where not all of them fit, as many as the batches lack that are filled now.
        """
        return self._missing

    @property
    def waiting_retries(self) -> int:
        """The number of messages that wait for a retry."""
        return sum(len(work.jobs) for work in self._retries)
