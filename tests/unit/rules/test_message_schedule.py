"""Any interleaving of fetch, start, finish, fail, publish, revoke, assign and time keeps the promises."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core_messaging.options import Ordering
from core_messaging.records import Committed, Outgoing, TopicPartition
from core_messaging.rules.assignment import Assignment, AssignmentState
from core_messaging.rules.commit_metadata import CommitNote, Ownership, Run
from core_messaging.rules.job import GivingUp, Job, Sending
from core_messaging.rules.message_schedule import MessageSchedule
from core_messaging.rules.remembered_state import RememberedState
from tests.unit.rules.records import PlainRecord

SOURCES = [TopicPartition("t", 0), TopicPartition("t", 1)]
KEYS = [None, b"a", b"b", b"c"]


class ScheduleMachine(RuleBasedStateMachine):
    """Holds the schedule against a model that remembers everything that ever happened."""

    @initialize(ordering=st.sampled_from(["key", "partition", "none"]))
    def begin(self, ordering: Ordering) -> None:
        self.ordering = ordering
        self.schedule = MessageSchedule(ordering, delay=lambda _attempt: 3.0)
        self.now = 0.0
        self.epoch = 0
        self.log: dict[TopicPartition, list[PlainRecord]] = {source: [] for source in SOURCES}
        self.committed: dict[TopicPartition, int] = dict.fromkeys(SOURCES, 0)
        self.held: dict[TopicPartition, Assignment] = {}
        self.left: dict[TopicPartition, RememberedState] = {}
        self.running: list[Job] = []
        self.publishing: list[Job] = []
        self.waiting: dict[int, float] = {}  # id(job) -> due
        self.finished: dict[Assignment, set[int]] = {}
        self.known: dict[Assignment, Sequence[Run]] = {}  # finished by this process before, and not committed
        self.delivered: dict[Assignment, list[int]] = {}
        self.started: dict[Assignment, list[tuple[bytes | None, int]]] = {}

    def assign(self, source: TopicPartition) -> None:
        self.epoch += 1
        assignment = self.next_of(source)
        self.held[source] = assignment
        self.finished[assignment] = set()
        self.known.setdefault(assignment, [])
        self.delivered[assignment] = []
        self.started[assignment] = []

    def next_of(self, source: TopicPartition) -> Assignment:
        """Its commit tells of attempts; every second time it comes straight back to the process that had it."""
        offset, left = self.committed[source], self.left.get(source)
        if left is None:
            return Assignment(source, self.epoch)
        attempts = {at: attempt for at, attempt in left.attempts.items() if at >= offset}
        note = CommitNote.of(offset, (), attempts, Ownership())
        assignment = Assignment(source, self.epoch, Committed(offset, note.encode()))
        if self.epoch % 2:
            assignment.restore(left)
            self.known[assignment] = left.finished
        return assignment

    @rule(source=st.sampled_from(SOURCES))
    def fold(self, source: TopicPartition) -> None:
        """What a delivery does by itself once there are many chunks; it must change nothing that can be seen."""
        if source in self.held:
            self.held[source].offsets._fold()

    @rule(
        source=st.sampled_from(SOURCES),
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=5),
        gap=st.integers(0, 3),
    )
    def fetch(self, source: TopicPartition, keys: list[bytes | None], gap: int) -> None:
        """New records, with a hole before them as compaction and transactions leave."""
        if source not in self.held:
            self.assign(source)
        assignment = self.held[source]
        log = self.log[source]
        delivered = self.delivered[assignment]
        start = max(delivered[-1] + 1 if delivered else 0, self.committed[source])
        tail = [r for r in log if r.offset >= start]
        if not tail:
            first = (log[-1].offset + 1 if log else 0) + gap
            tail = [PlainRecord(first + i * (1 + gap), key) for i, key in enumerate(keys)]
            log.extend(tail)
        self.schedule.deliver(assignment, tail, self.now)
        if assignment.state is AssignmentState.OPEN:
            delivered.extend(r.offset for r in tail)
            known = self.known[assignment]
            self.finished[assignment].update(
                r.offset for r in tail if any(first <= r.offset <= last for first, last in known)
            )

    @rule()
    def take(self) -> None:
        job = self.schedule.take()
        if job is None:
            return
        assignment = job.assignment
        assert assignment.state is AssignmentState.OPEN
        assert job.sending is None
        assert job.record.offset not in self.finished[assignment]
        self.waiting.pop(id(job), None)
        self.assert_alone_in_lane(job)
        self.started[assignment].append((job.record.key, job.record.offset))
        self.running.append(job)

    @rule(count=st.integers(0, 6), waits=st.booleans())
    def work_off_streak(self, count: int, waits: bool) -> None:
        """Messages without a job, one after the other; the handler of the last one may wait."""
        streak = self.schedule.begin_streak()
        if streak is None:
            return
        assignment = streak.assignment
        assert assignment.state is AssignmentState.OPEN
        for _, record in islice(streak.records, count):
            if record is None or streak.lane_of(record) in streak.busy:
                streak.pass_over()
                continue
            assert record.offset not in self.finished[assignment]
            self.started[assignment].append((record.key, record.offset))
            if waits and record.offset % 2:
                job = streak.stop()
                assert job.record is record
                self.assert_alone_in_lane(job)
                self.running.append(job)
                return
            self.finished[assignment].add(record.offset)
        streak.finish()

    @rule()
    def settle_next(self) -> None:
        """What needs no handler is settled without a slot."""
        job = self.schedule.settlements.take()
        if job is None:
            return
        assert job.record.offset not in self.finished[job.assignment]
        if job in self.publishing:
            self.publishing.remove(job)
            job.sending = None
        else:
            assert isinstance(job.sending, GivingUp)
            assert isinstance(job.sending.error, Exception)
        self.settle(job)

    def assert_alone_in_lane(self, job: Job) -> None:
        for other in (*self.running, *self.publishing):
            if other.assignment is job.assignment:
                assert self.lane(other) is None or self.lane(other) != self.lane(job)

    def lane(self, job: Job) -> object:
        if self.ordering == "none":
            return None
        return job.record.key if self.ordering == "key" else "all"

    def settle(self, job: Job) -> None:
        if self.schedule.finish(job):
            self.finished[job.assignment].add(job.record.offset)
        else:
            assert job.assignment.state is AssignmentState.FENCED

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.running))
        self.running.remove(job)
        self.settle(job)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), delay=st.floats(0, 10))
    def fail(self, data: st.DataObject, delay: float) -> None:
        job = data.draw(st.sampled_from(self.running))
        self.running.remove(job)
        job.attempt += 1
        self.schedule.retry(job, self.now + delay)
        if job.assignment.state is AssignmentState.OPEN:
            self.waiting[id(job)] = self.now + delay

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.running))
        self.running.remove(job)
        job.sending = Sending(Outgoing("out", b""), None)
        if job.assignment.state is not AssignmentState.FENCED:
            self.schedule.settlements.put(job)
            self.publishing.append(job)

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.schedule.release(self.now)
        assert self.schedule.next_due is None or self.schedule.next_due > self.now

    @precondition(lambda self: self.held)
    @rule(data=st.data(), count=st.integers(1, 3))
    def evict(self, data: st.DataObject, count: int) -> None:
        assignment = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        self.schedule.evict(assignment, count)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def begin_revoke(self, data: st.DataObject) -> None:
        assignment = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        if assignment.state is AssignmentState.OPEN:
            self.schedule.drain(assignment)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def end_revoke(self, data: st.DataObject) -> None:
        source = data.draw(st.sampled_from(sorted(self.held)))
        assignment = self.held.pop(source)
        offset = assignment.committable()
        if offset is not None:
            self.committed[source] = max(self.committed[source], offset)
        self.schedule.fence(assignment)
        self.left[source] = assignment.remember()
        self.publishing = [job for job in self.publishing if job.assignment is not assignment]

    @invariant()
    def nothing_is_committed_past_unfinished_work(self) -> None:
        for assignment in getattr(self, "held", {}).values():
            offset = assignment.committable()
            delivered, finished = self.delivered[assignment], self.finished[assignment]
            before = [o for o in delivered if offset is not None and o < offset]
            assert set(before) <= finished
            # ... and not later than it could be: the commit stands right at the first unfinished one.
            unfinished = [o for o in delivered if o not in finished]
            if unfinished:
                assert offset == unfinished[0]

    @invariant()
    def finished_runs_are_finished_and_complete(self) -> None:
        for assignment in getattr(self, "held", {}).values():
            claimed = list(assignment.finished_beyond())
            offset = assignment.committable()
            inside = {o for o in self.delivered[assignment] if any(a <= o <= b for a, b in claimed)}
            beyond = {o for o in self.finished[assignment] if offset is not None and o > offset}
            assert inside == beyond

    @invariant()
    def what_is_unfinished_is_counted(self) -> None:
        for assignment in getattr(self, "held", {}).values():
            unfinished = len(set(self.delivered[assignment]) - self.finished[assignment])
            assert assignment.unfinished == unfinished

    @invariant()
    def keys_start_in_order(self) -> None:
        if getattr(self, "ordering", "none") == "none":
            return
        for started in self.started.values():
            for key in KEYS[1:]:
                offsets = [o for k, o in started if k == key]
                assert offsets == sorted(offsets)
            if self.ordering == "partition":
                offsets = [o for _, o in started]
                assert offsets == sorted(offsets)

    @invariant()
    def held_counts_what_waits(self) -> None:
        for assignment in getattr(self, "held", {}).values():
            waiting = [job for job in self.schedule._retries if job.assignment is assignment]
            behind = [
                job
                for head in waiting
                if head.lane is not None
                for job in self.schedule._queues[assignment].busy[head.lane] or ()
            ]
            assert assignment.retries.waiting == len(waiting) + len(behind)

    def teardown(self) -> None:
        """Whatever happened, what is open can be worked off to the end: nothing hangs, nothing is forgotten."""
        if not hasattr(self, "schedule"):
            return
        for job in [*self.running]:
            self.settle(job)
        self.running = []
        self.schedule.release(float("inf"))
        while (left := self.schedule.settlements.take() or self.schedule.take()) is not None:
            self.settle(left)
            self.schedule.release(float("inf"))
        for assignment in self.held.values():
            if assignment.state is AssignmentState.OPEN:
                assert self.finished[assignment] == set(self.delivered[assignment])
                assert assignment.unfinished == 0
                assert assignment.retries.waiting == 0


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
