"""Batches under any interleaving of success, failure in part or whole, splitting, revoke and time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core_messaging.config import Ordering
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment, Hold
from core_messaging.rules.batch import Batch
from core_messaging.rules.batches import BatchSchedule
from core_messaging.rules.job import Job
from tests.unit.rules.records import PlainRecord

SIZE, WAIT = 4, 1.0


class BatchMachine(RuleBasedStateMachine):
    """A batch ends by its jobs being finished, failed in part, failed whole (again or split)."""

    @initialize(ordering=st.sampled_from(["key", "partition", "none"]))
    def begin(self, ordering: Ordering) -> None:
        self.ordering = ordering
        self.schedule = BatchSchedule(ordering, SIZE, WAIT)
        self.now = 0.0
        self.next = {0: 0, 1: 0}
        self.held = {p: Assignment(TopicPartition("t", p), 1) for p in (0, 1)}
        self.running: list[Batch] = []
        self.arrived: dict[tuple[int, int], float] = {}
        self.first_starts: dict[int, list[int]] = {0: [], 1: []}
        self.finished: set[tuple[int, int]] = set()

    @rule(partition=st.sampled_from([0, 1]), count=st.integers(1, 6), gap=st.integers(0, 2))
    def fetch(self, partition: int, count: int, gap: int) -> None:
        start = self.next[partition] + gap
        records = [PlainRecord(start + i, b"k", partition=partition) for i in range(count)]
        self.next[partition] = start + count
        assignment = self.held[partition]
        if assignment.hold is Hold.OPEN:
            self.arrived |= {(partition, r.offset): self.now for r in records}
        self.schedule.deliver(assignment, records, self.now)

    @rule()
    def take(self) -> None:
        batch = self.schedule.take(self.now)
        if batch is None:
            return
        assert isinstance(batch, Batch)
        assert 1 <= len(batch.jobs) <= SIZE
        assert batch.assignment.hold is Hold.OPEN
        partition = batch.assignment.source.partition
        offsets = [job.record.offset for job in batch.jobs]
        assert offsets == sorted(offsets)
        assert not {(partition, o) for o in offsets} & self.finished
        if self.ordering != "none":
            assert all(other.assignment is not batch.assignment for other in self.running)
        new = [o for o in offsets if o not in self.first_starts[partition]]
        if new:
            # A fresh batch is full, or its oldest message has waited long enough.
            assert len(new) == SIZE or self.now >= self.arrived[partition, new[0]] + WAIT
        self.first_starts[partition] += new
        self.running.append(batch)

    def pick(self, data: st.DataObject) -> Batch:
        batch: Batch = data.draw(st.sampled_from(self.running))
        self.running.remove(batch)
        return batch

    def finish(self, jobs: list[Job]) -> None:
        for job in jobs:
            if self.schedule.finish(job):
                self.finished.add((job.record.partition, job.record.offset))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        self.finish(list(self.pick(data).jobs))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), delay=st.floats(0, 5))
    def fail_in_part(self, data: st.DataObject, delay: float) -> None:
        batch = self.pick(data)
        bad = data.draw(st.lists(st.sampled_from(range(len(batch.jobs))), unique=True, min_size=1))
        again = [batch.jobs[i] for i in sorted(bad)]
        if data.draw(st.booleans()):  # the good ones may be settled before or (acknowledged later) after
            self.finish([job for job in batch.jobs if job not in again])
            self.schedule.again(batch, again, self.now + delay)
        else:
            good = [job for job in batch.jobs if job not in again]
            self.schedule.again(batch, again, self.now + delay)
            self.finish(good)

    @precondition(lambda self: any(len(batch.jobs) > 1 for batch in self.running))
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from([b for b in self.running if len(b.jobs) > 1]))
        self.running.remove(batch)
        self.schedule.split(batch, batch.jobs)

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.schedule.release(self.now)

    @rule(partition=st.sampled_from([0, 1]))
    def revoke(self, partition: int) -> None:
        assignment = self.held[partition]
        self.schedule.drain(assignment)
        committed = assignment.committable()
        self.schedule.fence(assignment)
        self.held[partition] = Assignment(assignment.source, assignment.epoch + 1)
        # Delivered again from the commit on.
        self.next[partition] = 0 if committed is None else committed
        self.finished = {(p, o) for p, o in self.finished if p != partition or o < self.next[partition]}
        self.first_starts[partition] = [o for o in self.first_starts[partition] if o < self.next[partition]]

    @invariant()
    def fresh_batches_start_in_order(self) -> None:
        for starts in getattr(self, "first_starts", {}).values():
            assert starts == sorted(starts)

    def teardown(self) -> None:
        """Everything that is open can be worked off to the end."""
        if not hasattr(self, "schedule"):
            return
        for batch in self.running:
            self.finish(list(batch.jobs))
        while True:
            self.schedule.release(float("inf"))
            left = self.schedule.take(float("inf"))
            if left is None:
                break
            self.finish(list(left.jobs))
        for assignment in self.held.values():
            assert assignment.unfinished == 0
            assert assignment.held == 0


TestBatches = BatchMachine.TestCase
TestBatches.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
