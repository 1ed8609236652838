"""Which batch may start next: the same rules as ``schedule``, for workers with a ``batch_size``."""

from __future__ import annotations

import heapq
import math
import sys
from collections import deque
from collections.abc import Callable, Collection, Sequence

from core_messaging.config import Ordering
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import Assignment, Hold
from core_messaging.rules.batch import Batch, Gathering, Group, Work
from core_messaging.rules.intake import LITTLE
from core_messaging.rules.job import Condemned, Job
from core_messaging.rules.partition_queue import SettlementQueue
from core_messaging.rules.schedule import remember_due


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
        self._gatherings: dict[Assignment, Gathering] = {}
        self._turns: deque[Gathering] = deque()  # all of them, the next one first
        self._retries: list[tuple[float, int, Work]] = []
        self._sequence = 0
        self._closed = False
        self._missing = sys.maxsize  # messages that the batches to be filled now lack
        self._cut_off: frozenset[TopicPartition] = frozenset()  # no more can come from these for now

    def deliver(self, assignment: Assignment, records: Sequence[Record], now: float = 0.0) -> None:
        """Take in *records* of an open assignment, in delivered order."""
        if not records or assignment.hold is not Hold.OPEN or self._closed:
            return
        gathering = self._gathering_of(assignment)
        gathering.chunks.append((now, assignment.deliver(records)))
        gathering.dry = False

    def _gathering_of(self, assignment: Assignment) -> Gathering:
        gathering = self._gatherings.get(assignment)
        if gathering is None:
            gathering = self._gatherings[assignment] = Gathering(assignment)
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

    def _next_of(self, gathering: Gathering, now: float) -> Batch | None:
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

    def _new_batch(self, gathering: Gathering, now: float) -> Batch | None:
        while self._may_start(gathering, now):
            jobs = gathering.gather(self._size, now, self._delay)
            if jobs:
                self._handed_out()
                self._cut_off -= {gathering.assignment.source}  # its end makes room
            if gathering.late:
                jobs = self._let_wait(gathering, jobs)
            if jobs:
                gathering.groups += 1
                return Batch(jobs, Group(len(jobs)))
        return None

    def _let_wait(self, gathering: Gathering, jobs: list[Job]) -> list[Job]:
        """What was tried before this assignment waits for the rest of its delay: with all that came with it where order
        is asked, else among itself. What need not wait."""
        due = max(due for due, _ in gathering.late)
        late = jobs if self._one_at_a_time else [job for _, job in gathering.late]
        gathering.groups += 1
        self.retry(Batch(late, Group(len(late))), due)
        return [] if self._one_at_a_time else [job for job in jobs if job not in late]

    def _may_start(self, gathering: Gathering, now: float) -> bool:
        if not gathering.chunks or (self._one_at_a_time and gathering.groups):
            return False
        if gathering.fresh >= self._size or now >= gathering.chunks[0][0] + self._wait:
            return True
        # It cannot become full. Where another one is full, that one makes room for more.
        return gathering.assignment.source in self._cut_off and not any(map(self._is_full, self._turns))

    def _is_full(self, gathering: Gathering) -> bool:
        return gathering.fresh >= self._size and not (self._one_at_a_time and gathering.groups)

    def cut_off(self, sources: frozenset[TopicPartition]) -> int:
        """Nothing comes from *sources* for now, so their batches need not wait for more, unless what runs there makes room
        by its end. How many may start by that."""
        before, self._cut_off = (
            self._cut_off,
            frozenset(
                g.assignment.source
                for g in self._turns
                if g.assignment.source in sources and g.is_all_there_is
            ),
        )
        new = self._cut_off - before
        return sum(1 for g in self._turns if g.assignment.source in new and self._may_start(g, -math.inf))

    def crowded_out(self, capacity: int) -> set[Assignment]:
        """Partitions whose next batch does not fit into *capacity* messages beside those that have waited longer. Filled all
        at a time, none of them would ever be full."""
        self._missing = sys.maxsize
        if len(self._turns) * self._size <= capacity:
            return set()
        in_flight = sum(g.assignment.unfinished - g.assignment.held for g in self._turns)
        begun = sorted(
            (g for g in self._turns if g.chunks), key=lambda g: (g.chunks[0][0], g.assignment.source)
        )
        # Where nothing runs and nothing can, one must be filled, whatever it takes.
        idle = in_flight == sum(g.fresh for g in begun) and not any(map(self._is_full, begun))
        missing, out = 0, set()
        for gathering in (g for g in begun if not g.dry):
            more = max(0, self._size - gathering.fresh)
            if in_flight + missing + more <= capacity or (idle and not missing):
                missing += more
            else:
                out.add(gathering.assignment)
        if not missing and not any(
            map(self._is_full, begun)
        ):  # of those that have nothing, or no more, a little
            missing = max(len(self._turns), capacity // LITTLE)
        self._missing = missing
        return out

    def ran_dry(self, sources: Collection[TopicPartition]) -> None:
        """A fetch that had room for more brought nothing of *sources*: nothing is kept free for their batches until something comes."""
        for gathering in self._turns:
            gathering.dry = gathering.dry or gathering.assignment.source in sources

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
        """Whatever there is room for, because each partition needs a batch of its own; where not all of them fit, as many
        as those lack that are to be filled now."""
        return self._missing

    @property
    def waiting_retries(self) -> int:
        return sum(len(work.jobs) for _, _, work in self._retries)
