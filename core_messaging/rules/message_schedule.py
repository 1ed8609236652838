"""Which message may start next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from core_messaging.options import Ordering
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import FENCED, Assignment, AssignmentState
from core_messaging.rules.chunk import Chunk
from core_messaging.rules.job import Job
from core_messaging.rules.lanes import LANE_OF
from core_messaging.rules.partition_queue import PartitionQueue, SettlementQueue
from core_messaging.rules.retry_queue import RetryQueue
from core_messaging.rules.streak import Streak

STREAK = 64  # messages of one partition in its turn, where no handler waits
AHEAD, PIECE = 1_000, 200  # messages to ask for, where handlers compute and where they wait


def release_retries(jobs: Iterable[Job], due: float) -> None:
    """*jobs* waited together for a retry at *due*, and their partition is given back; it may come straight back."""
    for job in jobs:
        if job.sending is None:
            job.assignment.retries.release(job.record.offset, due)


class MessageSchedule:
    """The schedule of a worker that takes single messages.

    A lane (a key of a partition, or the whole partition) is busy from the moment its job is taken until that job is finished:
    while it runs, while it waits for a retry, while its result is being published.

    Partitions that have something to start take turns, one message each. In a partition, fresh messages and those that have
    waited already (retries that are due, messages whose lane has become free) take turns as well. So a message waits for two
    rounds of the partitions and for what is before it in its own partition, however large the backlog of the others is. While
    handlers do not wait for anything, a partition starts up to ``STREAK`` fresh messages in its turn (``begin_streak``).
    Messages that need no handler take no turn: they go to ``settlements``.
    """

    def __init__(
        self,
        ordering: Ordering,
        handed_out: Callable[[], None] = lambda: None,
        delay: Callable[[int], float] = lambda _attempt: 0.0,
        to_settle: Callable[[], None] = lambda: None,
    ) -> None:
        """*ordering*: which messages wait for each other.

        *handed_out* is called when the last message of a fetch is taken. *delay*: seconds before an attempt, by its number.
        *to_settle* is called when a job comes into ``settlements``.
        """
        self._lane_of = LANE_OF[ordering]
        self._handed_out = handed_out
        self._delay = delay
        self.settlements = SettlementQueue(to_settle)
        self._queues: dict[Assignment, PartitionQueue] = {}
        # Partitions that may have something to start, the next one first; and all that wait for their turn, also while one
        # is isolated.
        self._turns: deque[PartitionQueue] = deque()
        self._in_turn: set[PartitionQueue] = set()
        self._fresh_next: set[PartitionQueue] = set()  # the last job that started there was not fresh
        self._isolated: Assignment | None = None
        self._ready = 0  # jobs in ``ready`` of all queues
        self._retries: RetryQueue[Job] = RetryQueue()
        self._closed = False

    def deliver(self, assignment: Assignment, records: Sequence[Record], now: float = 0.0) -> None:
        """Take in *records* of an open assignment, in the order of their offsets."""
        if records and assignment.state is AssignmentState.OPEN and not self._closed:
            chunk = assignment.deliver(records)
            queue = self._queue_of(assignment)
            if queue.carried_over:
                queue.adopt(chunk)
            if assignment.retries.has_inherited:
                self._let_wait(queue, chunk, now)
            queue.chunks.append(chunk)
            self._line_up(queue)

    def _queue_of(self, assignment: Assignment) -> PartitionQueue:
        queue = self._queues.get(assignment)
        if queue is None:
            queue = self._queues[assignment] = PartitionQueue(assignment)
        return queue

    def _line_up(self, queue: PartitionQueue) -> None:
        if queue not in self._in_turn:
            self._in_turn.add(queue)
            if self._isolated is None or queue.assignment is self._isolated:
                self._turns.append(queue)

    def isolate(self, assignment: Assignment | None) -> None:
        """Start messages of *assignment* only; None: of all assignments again."""
        self._isolated = assignment
        lined_up = (queue for queue in self._queues.values() if queue in self._in_turn)
        self._turns = deque(queue for queue in lined_up if assignment in (None, queue.assignment))

    def _make_ready(self, job: Job) -> None:
        """*job* may go on: with its handler in the turn of its partition, or without one as soon as a runner settles it."""
        if job.sending is not None:
            self.settlements.put(job)
            return
        queue = self._queue_of(job.assignment)
        queue.ready.append(job)
        self._ready += 1
        self._line_up(queue)

    def _let_wait(self, queue: PartitionQueue, chunk: Chunk, now: float) -> None:
        """Messages that were tried before this assignment wait for the rest of their delay.

        A rebalance is no reason to try all of them at once, and to use up their attempts. A message does not wait here if an
        earlier one of its lane comes first.
        """
        retries = queue.assignment.retries
        lanes = {self._lane_of(record) for record in queue.untaken()}
        for index, record in enumerate(chunk.records):
            if record is None:
                continue
            lane = self._lane_of(record)
            due = retries.due_time(record.offset, now, self._delay)
            if due > now and lane not in lanes and lane not in queue.busy:
                chunk.hand_over(index)
                job = Job(queue.assignment, chunk, index, record, lane, queue.attempts[record.offset])
                queue.occupy(job)
                self.retry(job, due)
                retries.keep_record(record)
            if lane is not None:
                lanes.add(lane)
        retries.delivered_up_to(chunk.offsets[-1])

    def take(self) -> Job | None:  # noqa: C901 - each part would cost one function call for each message
        """The next job whose handler may run now; its lane is busy until ``finish``. None: no job may start."""
        turns, fresh_next = self._turns, self._fresh_next
        while turns:
            queue = turns[0]
            turns.rotate(-1)
            ready, chunks = queue.ready, queue.chunks
            while chunks and (not ready or queue in fresh_next):
                chunk, busy, attempts = chunks[0], queue.busy, queue.attempts
                for index, record in chunk.fresh:
                    if record is None:  # finished before this assignment, or a job holds it already
                        continue
                    lane = self._lane_of(record)
                    job = Job(queue.assignment, chunk, index, record, lane)
                    if attempts:  # rarely: an earlier owner of the partition has tried some of its messages
                        job.continue_at(attempts.get(record.offset, 1))
                    if lane in busy:  # None never is
                        queue.wait_behind(job)
                        continue
                    if lane is not None:
                        busy[lane] = None
                    if fresh_next:
                        fresh_next.discard(queue)
                    return job
                chunks.popleft()
                self._handed_out()
            if ready:
                fresh_next.add(queue)
                self._ready -= 1
                return ready.popleft()
            turns.pop()  # nothing is left to start there: it has just become the last one
            self._in_turn.discard(queue)
        return None

    def begin_streak(self) -> Streak | None:
        """The next fresh messages of the partition that has its turn, for a runner whose handlers do not wait.

        None: something there has waited already, or was tried before, or nothing may start. Then ask ``take``.
        """
        if not self._turns:
            return None
        queue = self._turns[0]
        chunks = queue.chunks
        while chunks and not chunks[0].untaken:
            chunks.popleft()
            self._handed_out()
        if queue.ready or queue.attempts or not chunks:
            return None
        self._turns.rotate(-1)
        self._fresh_next.discard(queue)
        return Streak(queue, self._lane_of, STREAK)

    def give_up_in_turn(self, assignment: Assignment, record: Record, error: Exception) -> None:
        """Take in *record*, which must not meet the handler: it is given up with *error* when its lane is free.

        In its turn, because earlier messages of its lane may still wait for a retry.
        """
        chunk = assignment.deliver([record])
        ((index, _),) = chunk.take(1)
        job = Job(assignment, chunk, index, record, self._lane_of(record))
        job.wait_for_giving_up(error)
        queue = self._queue_of(assignment)
        if job.lane in queue.busy:
            queue.wait_behind(job)
            return
        queue.occupy(job)
        self.settlements.put(job)

    def finish(self, job: Job) -> bool:
        """*job* is settled for good. False: its assignment is fenced, and the result is dropped."""
        assignment, chunk, index = job.assignment, job.chunk, job.index
        if assignment.state is FENCED:
            return False
        chunk.done[index] = 1  # ``Chunk.finish`` does the same; a call for every message would cost more
        chunk.records[index] = None
        try:
            queue = self._queues[assignment]
        except KeyError:  # the partition is being revoked: nothing starts there any more
            assignment.retries.forget(job.record.offset)
            return True
        if queue.attempts:
            assignment.retries.forget(job.record.offset)
        lane = job.lane
        if lane is not None:
            behind = queue.busy.pop(lane)
            if behind:
                queue.busy[lane] = behind
                follower = behind.popleft()
                if not self._closed:
                    self._make_ready(follower)
        return True

    def retry(self, job: Job, due: float) -> None:
        """*job* waits until *due*. It holds no runner, only its lane.

        Where nothing starts any more, its attempt is noted for the commit, and for the next owner.
        """
        job.assignment.retries.note_attempt(job.record.offset, job.counted_attempt)
        if job.assignment.state is not AssignmentState.OPEN or self._closed:
            job.abandon()
            release_retries([job], due)
            return
        self._queue_of(job.assignment).begin_retry(job)
        self._retries.push(job, due)

    def evict(self, assignment: Assignment, count: int) -> int:
        """Give up to *count* of the retries that wait in *assignment*, the longest waiting first. Returns how many."""
        evicted = self._retries.remove_longest_waiting(
            lambda job: job.assignment is assignment and job.sending is None, count
        )
        for job in evicted:
            self._queue_of(assignment).end_retry(job)
            job.evict()
            self.settlements.put(job)
        return len(evicted)

    def hasten(self, is_meant: Callable[[Job], bool], now: float) -> int:
        """Retries that wait, and that *is_meant* says yes to, are due *now*. Returns how many."""
        return len(self._retries.hasten(is_meant, now))

    def release(self, now: float) -> int:
        """Make the retries ready that are due at *now*. Returns how many."""
        released = 0
        for job in self._retries.pop_due(now):
            self._queue_of(job.assignment).end_retry(job)
            self._make_ready(job)
            released += 1
        return released

    @property
    def next_due(self) -> float | None:
        """When ``release`` has something to do next."""
        return self._retries.next_due

    def drain(self, assignment: Assignment) -> None:
        """Revoke, first half: nothing of *assignment* starts any more. What runs may finish and be committed."""
        assignment.drain()
        self._give_back(lambda job: job.assignment is assignment)
        queue = self._queues.pop(assignment, None)
        if queue is not None:
            self._ready -= len(queue.ready)
            self._turns = deque(other for other in self._turns if other is not queue)
            self._in_turn.discard(queue)
            self._fresh_next.discard(queue)

    def fence(self, assignment: Assignment) -> None:
        """Revoke, second half: results of *assignment* are dropped from here on."""
        if assignment.state is AssignmentState.OPEN:
            self.drain(assignment)
        assignment.fence()
        self.settlements.forget(assignment)

    def carry_over(self, old: Assignment, new: Assignment, running: Iterable[Job]) -> bool:
        """The *running* jobs of *old* go on in *new*: their records are not started again when they come again."""
        jobs = list(running)
        old.continue_as(new, jobs)
        self._queue_of(new).carry(jobs)
        return True

    def close(self) -> None:
        """Shutdown: nothing starts any more in any assignment. Messages that were fetched and not started are dropped."""
        self._closed = True
        self._give_back(lambda _job: True)
        for queue in self._queues.values():
            queue.exhaust()
        self._queues.clear()
        self._turns.clear()
        self._in_turn.clear()
        self._fresh_next.clear()
        self._ready = 0

    def _give_back(self, is_given_back: Callable[[Job], bool]) -> None:
        for job, due in self._retries.remove(is_given_back):
            self._queue_of(job.assignment).end_retry(job)
            release_retries([job], due)

    @property
    def fresh(self) -> int:
        """The number of fetched messages that have no job yet."""
        return sum(queue.fresh for queue in self._in_turn)

    def working(self) -> set[Assignment]:
        """Assignments of which something can start now: the partitions of one round."""
        return {queue.assignment for queue in self._turns if queue.has_work}

    def wanted(self, waiting: int) -> int:
        """How many more messages to ask for while *waiting* handlers wait for something.

        Enough to have something at hand while these are fetched, and few enough that they are started while they are in the
        processor's cache. A fetch is parsed in one go, and a handler whose I/O is over waits for the end of that. So messages
        come in smaller pieces where handlers wait; where none waits, a larger piece costs less for each message.
        """
        enough = max(PIECE, 2 * waiting) if waiting else AHEAD
        return enough if self.fresh <= enough else 0

    def without_room(self, _capacity: int) -> frozenset[Assignment]:
        """None: single messages wait for no others to fill a batch."""
        return frozenset()

    def cut_off(self, _sources: frozenset[TopicPartition]) -> int:
        """0: single messages do not wait for more to come."""
        return 0

    def ran_dry(self, _sources: Collection[TopicPartition]) -> None:
        """Do nothing: no room is kept for the rest of a batch."""

    @property
    def ready(self) -> int:
        """The number of messages that have waited already and may run now."""
        return self._ready

    @property
    def waiting_retries(self) -> int:
        """The number of messages that wait for a retry."""
        return len(self._retries)
