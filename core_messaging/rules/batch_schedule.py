"""Which batch may start next: the same rules as ``schedule``, for workers with a ``batch_size``."""

from __future__ import annotations

import heapq
import math
import sys
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence

from core_messaging.options import Ordering
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import Assignment, Hold
from core_messaging.rules.batch import Batch, Gathering, Work, halves
from core_messaging.rules.flow_control import LITTLE
from core_messaging.rules.held_keys import Waiting
from core_messaging.rules.job import GivingUp, Job
from core_messaging.rules.lanes import LANE_OF
from core_messaging.rules.message_schedule import remember_due
from core_messaging.rules.partition_queue import SettlementQueue


class BatchSchedule:
    """Batches of one worker. ``size`` messages of one partition, or what came within ``wait`` seconds.

    Under ``ordering`` "key" and "partition" one fresh batch of a partition is under way at a time; under "none" any
    number. What waits for a retry, or for a topic that does not take its record, holds up its key only (the whole
    partition under "partition"). Partitions that have a batch to start take turns, one batch each.
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
        """*handed_out* is called when a batch is taken; *delay*: seconds before an attempt, by its number; *to_settle* is
        called when something comes into ``settlements``; *one_by_one*: each message of a batch has a call of its own, so
        what failed apart may be tried again together."""
        self._one_by_one = one_by_one
        self._one_at_a_time = ordering != "none"
        self.lane_of: Callable[[Record], Hashable] = LANE_OF[ordering]
        self._size = size
        self._wait = wait
        self._handed_out = handed_out
        self._delay = delay
        self.settlements = SettlementQueue(to_settle)
        self._gatherings: dict[Assignment, Gathering] = {}
        self._turns: deque[Gathering] = deque()  # all of them, the next one first
        self._only: Assignment | None = None  # the one that is isolated
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
        if assignment.waits:
            self._let_wait(gathering)
            assignment.forget_waits(records[-1].offset)
        if gathering.held_keys:
            gathering.sift(self.lane_of)

    def _gathering_of(self, assignment: Assignment) -> Gathering:
        gathering = self._gatherings.get(assignment)
        if gathering is None:
            gathering = self._gatherings[assignment] = Gathering(assignment)
            if self._only is None or assignment is self._only:
                self._turns.append(gathering)
        return gathering

    def isolate(self, assignment: Assignment | None) -> None:
        """Start batches of *assignment* only; None: of all again."""
        self._only = assignment
        self._turns = deque(g for g in self._gatherings.values() if assignment in (None, g.assignment))

    def _let_wait(self, gathering: Gathering) -> None:
        """What was tried before this assignment waits for the rest of its delay; what is due at the same time waits together,
        as the batch that it was."""
        for due, jobs in gathering.late(self.lane_of, self._delay).items():
            self._put_aside(jobs, due)

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
        batch = gathering.ready.popleft()
        return self._joined(batch, gathering) if self._one_by_one else batch

    def _joined(self, batch: Batch, gathering: Gathering) -> Batch:
        """*batch*, and what is ready beside it; their keys differ."""
        jobs = batch.jobs
        while gathering.ready and len(jobs) + len(gathering.ready[0].jobs) <= self._size:
            jobs += gathering.ready.popleft().jobs
        return Batch(jobs)

    def _new_batch(self, gathering: Gathering, now: float) -> Batch | None:
        while self._may_start(gathering, now):
            jobs = gathering.gather(self._size)
            if jobs:
                self._handed_out()
                self._cut_off -= {gathering.assignment.source}  # its end makes room
                batch = Batch(jobs)
                gathering.under_way.add(batch)
                return batch
        return None

    def _may_start(self, gathering: Gathering, now: float) -> bool:
        if not gathering.has_some or (self._one_at_a_time and gathering.under_way):
            return False
        if gathering.fresh >= self._size or now >= gathering.since + self._wait:
            return True
        # It cannot become full. Where another one is full, that one makes room for more.
        return gathering.assignment.source in self._cut_off and not any(map(self._is_full, self._turns))

    def _is_full(self, gathering: Gathering) -> bool:
        return gathering.fresh >= self._size and not (self._one_at_a_time and gathering.under_way)

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
        begun = sorted((g for g in self._turns if g.has_some), key=lambda g: (g.since, g.assignment.source))
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

    def give_up_in_turn(self, assignment: Assignment, record: Record, error: Exception) -> None:
        """Take in *record*, which must not meet the handler again: it is given up, with *error*."""
        chunk = assignment.deliver([record])
        chunk.cursor = 1
        gathering = self._gathering_of(assignment)
        batch = Batch([Job(chunk, 0, record, None)])
        gathering.under_way.add(batch)
        job = batch.jobs[0]
        job.sending = GivingUp(error)
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
        gathering = self._gatherings.get(assignment)
        if gathering is not None:
            self._leave(job, gathering)
            if gathering.held_keys:
                self._free(gathering, gathering.held_keys.settle(self.lane_of(job.record), job))
        return True

    def _leave(self, job: Job, gathering: Gathering) -> None:
        batch: Batch | None = job.lane
        job.lane = None
        if batch is not None:
            batch.left -= 1
            if batch.left == 0:
                gathering.under_way.discard(batch)

    def _free(self, gathering: Gathering, freed: Sequence[Waiting]) -> None:
        """*freed* waited behind something of their key that is settled now."""
        if not freed:
            return
        gathering.assignment.held -= len(freed)
        if freed[0][2].attempt > 1:
            self._make_ready(Batch([job for _, _, job in freed]))
        else:
            gathering.put_back(freed)

    def _make_ready(self, work: Work) -> None:
        """*work* may go on: a batch in its partition's turn, a message without a handler as soon as somebody settles it."""
        if isinstance(work, Job):
            self.settlements.put(work)
        elif self._open(work.assignment):
            self._gathering_of(work.assignment).ready.append(work)

    def retry(self, job: Job, due: float) -> None:
        """*job* waits until *due*; it holds no slot, only its key."""
        if job.sending is None:
            self.again([job], due)
            return
        self._remember([job], due)
        if self._open(job.assignment):
            self._hold([job])
            self._push(job, due)

    def again(self, jobs: Sequence[Job], due: float) -> None:
        """*jobs* failed and are tried again together at *due*; the others of their batch are settled on their own."""
        self._remember(jobs, due)
        if self._open(jobs[0].assignment):
            self._put_aside(jobs, due)

    def _put_aside(self, jobs: Sequence[Job], due: float) -> None:
        self._hold(jobs)
        self._push(Batch(jobs), due)

    def _push(self, work: Work, due: float) -> None:
        self._sequence += 1
        work.assignment.held += len(work.jobs)
        heapq.heappush(self._retries, (due, self._sequence, work))

    def _remember(self, jobs: Sequence[Job], due: float) -> None:
        """What the commit and the next owner know of *jobs*, also where this one gives them back just now."""
        for job in jobs:
            if job.counted_attempt > 1:
                job.assignment.attempts[job.record.offset] = job.counted_attempt
        if not self._open(jobs[0].assignment):
            remember_due(jobs, due)

    def _hold(self, jobs: Sequence[Job]) -> None:
        """*jobs* leave their batches, and what comes after them in their keys waits for them."""
        gathering = self._gathering_of(jobs[0].assignment)
        for job in jobs:
            self._leave(job, gathering)
            gathering.held_keys.hold(self.lane_of(job.record), job)
        if gathering.held_keys:
            gathering.sift(self.lane_of)

    def wait_behind(self, jobs: Sequence[Job]) -> None:
        """*jobs* did not have their turn: what is before them in their key has failed, and waits for its retry."""
        if not jobs or not self._open(jobs[0].assignment):
            return
        gathering = self._gathering_of(jobs[0].assignment)
        for job in jobs:
            self._leave(job, gathering)
            gathering.held_keys.wait_behind(self.lane_of(job.record), job, float("-inf"))
            gathering.assignment.held += 1

    def split(self, jobs: Sequence[Job]) -> None:
        """Look for the bad one among *jobs*, the unsettled ones of a batch: each half is a batch of its own. Halves that
        have a key in common run one after the other."""
        if not self._open(jobs[0].assignment):
            return
        self._hold(jobs)
        first, second = halves(jobs, self.lane_of)
        self._make_ready(Batch(first))
        if self.lane_of(first[-1].record) == self.lane_of(second[0].record) is not None:
            self.wait_behind(second)
        else:
            self._make_ready(Batch(second))

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
            gathering.since + self._wait
            for gathering in self._gatherings.values()
            if gathering.has_some and not (self._one_at_a_time and gathering.under_way)
        ]
        return min(times, default=None)

    def drain(self, assignment: Assignment) -> None:
        """Revoke, first half: nothing of *assignment* starts any more; what runs may still finish."""
        assignment.hold = Hold.DRAINING
        self._drop(lambda work: work.assignment is assignment)
        gathering = self._gatherings.pop(assignment, None)
        if gathering is not None:
            assignment.held -= gathering.held_keys.behind
            self._turns.remove(gathering)

    def fence(self, assignment: Assignment) -> None:
        """Revoke, second half: results of *assignment* count for nothing from here on."""
        if assignment.hold is Hold.OPEN:
            self.drain(assignment)
        assignment.hold = Hold.FENCED
        self.settlements.forget(assignment)

    def carry_over(self, _old: Assignment, _new: Assignment, _running: Iterable[Job]) -> bool:
        """Batches do not go on in the next assignment: half of one could not."""
        return False

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
        work.assignment.held -= len(work.jobs)

    def _open(self, assignment: Assignment) -> bool:
        return assignment.hold is Hold.OPEN and not self._closed

    @property
    def fresh(self) -> int:
        """Messages that came and are in no batch yet."""
        return sum(gathering.fresh for gathering in self._gatherings.values())

    def working(self) -> set[Assignment]:
        """Which partitions have messages at hand for a batch that need not wait for the one before."""
        mine = (g for g in self._turns if g.ready or (g.fresh and not (self._one_at_a_time and g.under_way)))
        return {gathering.assignment for gathering in mine}

    def wanted(self, _waiting: int) -> int:
        """Whatever there is room for, because each partition needs a batch of its own; where not all of them fit, as many
        as those lack that are to be filled now."""
        return self._missing

    @property
    def waiting_retries(self) -> int:
        """The number of messages that wait for a retry."""
        return sum(len(work.jobs) for _, _, work in self._retries)
