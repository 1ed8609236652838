"""Batches under any interleaving of success, failure in part or whole, splitting, revoke and time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from core_messaging.options import Ordering
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.rules.assignment import Assignment, AssignmentState
from core_messaging.rules.batch import Batch
from core_messaging.rules.batch_schedule import BatchSchedule
from core_messaging.rules.job import Job, Sending
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
        self.keys: dict[tuple[int, int], bytes | None] = {}
        self.started: set[tuple[int, int]] = set()
        self.finished: set[tuple[int, int]] = set()

    @rule(
        partition=st.sampled_from([0, 1]),
        keys=st.lists(st.sampled_from([None, b"a", b"b", b"c"]), min_size=1, max_size=6),
        gap=st.integers(0, 2),
    )
    def fetch(self, partition: int, keys: list[bytes | None], gap: int) -> None:
        start = self.next[partition] + gap
        records = [PlainRecord(start + i, key, partition=partition) for i, key in enumerate(keys)]
        self.next[partition] = start + len(keys)
        assignment = self.held[partition]
        if assignment.state is AssignmentState.OPEN:
            self.arrived |= {(partition, r.offset): self.now for r in records}
            self.keys |= {(partition, r.offset): r.key for r in records}
        self.schedule.deliver(assignment, records, self.now)

    @rule()
    def take(self) -> None:
        batch = self.schedule.take(self.now)
        if batch is None:
            return
        assert isinstance(batch, Batch)
        assert 1 <= len(batch.jobs) <= SIZE
        assert batch.assignment.state is AssignmentState.OPEN
        partition = batch.assignment.source.partition
        offsets = [job.record.offset for job in batch.jobs]
        assert offsets == sorted(offsets)
        assert not {(partition, o) for o in offsets} & self.finished
        for offset in offsets:
            self.assert_nothing_earlier_of_its_key_is_unfinished(partition, offset, offsets)
        new = [o for o in offsets if (partition, o) not in self.started]
        if len(new) == len(offsets):
            # A fresh batch is full, or its oldest message has waited long enough.
            assert len(new) == SIZE or self.now >= self.arrived[partition, new[0]] + WAIT
        self.started |= {(partition, o) for o in new}
        self.running.append(batch)

    def assert_nothing_earlier_of_its_key_is_unfinished(
        self, partition: int, offset: int, beside: list[int]
    ) -> None:
        earlier = [o for p, o in self.keys if p == partition and o < offset and o not in beside]
        if self.ordering == "none":
            return
        if self.ordering == "key":
            key = self.keys[partition, offset]
            earlier = [o for o in earlier if key is not None and self.keys[partition, o] == key]
        assert {(partition, o) for o in earlier} <= self.finished

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
        good = [job for job in batch.jobs if job not in again]
        if data.draw(st.booleans()):  # the good ones may be settled before or (acknowledged later) after
            self.finish(good)
            self.try_again(again, self.now + delay)
        else:
            self.try_again(again, self.now + delay)
            self.finish(good)

    def try_again(self, jobs: list[Job], due: float) -> None:
        for job in jobs:
            job.attempt += 1
        self.schedule.again(jobs, due)

    @precondition(lambda self: self.running and self.ordering != "none")
    @rule(data=st.data(), delay=st.floats(0, 5))
    def fail_one_by_one(self, data: st.DataObject, delay: float) -> None:
        """The first of a key fails; what comes after it in its key has no turn."""
        batch = self.pick(data)
        lanes: dict[object, list[Job]] = {}
        for job in batch.jobs:
            lane = self.schedule.lane_of(job.record)
            lanes.setdefault((job,) if lane is None else lane, []).append(job)
        for first, *rest in lanes.values():
            if data.draw(st.booleans()):
                self.try_again([first], self.now + delay)
                self.schedule.wait_behind(rest)
            else:
                self.finish([first, *rest])

    @precondition(lambda self: self.running)
    @rule(data=st.data(), delay=st.floats(0, 5))
    def cannot_publish_one(self, data: st.DataObject, delay: float) -> None:
        """Its record waits for its topic, alone; the others of its batch are done."""
        batch = self.pick(data)
        first, *others = batch.jobs
        first.sending = Sending(Outgoing("out", b""), None)
        self.schedule.retry(first, self.now + delay)
        self.finish(others)

    @rule()
    def settle_what_was_published(self) -> None:
        while (job := self.schedule.settlements.take()) is not None:
            self.finish([job])

    @precondition(lambda self: any(len(batch.jobs) > 1 for batch in self.running))
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from([b for b in self.running if len(b.jobs) > 1]))
        self.running.remove(batch)
        jobs = batch.jobs
        for job in jobs:
            job.attempt += 1
            job.uncounted += 1
        self.schedule.split(jobs)

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.schedule.release(self.now)

    @rule(partition=st.sampled_from([0, 1]), remaining=st.lists(st.none() | st.floats(0, 5), max_size=12))
    def revoke(self, partition: int, remaining: list[float | None]) -> None:
        """It comes again. *remaining*: seconds until the retries of its first messages are due; None: not tried yet."""
        assignment = self.held[partition]
        self.schedule.drain(assignment)
        committed = assignment.committable()
        self.schedule.fence(assignment)
        self.held[partition] = Assignment(assignment.source, assignment.epoch + 1)
        # Delivered again from the commit on.
        self.next[partition] = 0 if committed is None else committed
        self.finished = {(p, o) for p, o in self.finished if p != partition or o < self.next[partition]}
        gone = {(p, o) for p, o in self.keys if p == partition and o >= self.next[partition]}
        self.started -= gone
        for lost in gone:
            del self.keys[lost]
        dues = {
            offset: self.now + seconds
            for offset, seconds in enumerate(remaining, self.next[partition])
            if seconds is not None
        }
        self.held[partition].retries.inherit(dict.fromkeys(dues, 2), dues)
        self.started.update((partition, offset) for offset in dues)

    def teardown(self) -> None:
        """Everything that is open can be worked off to the end."""
        if not hasattr(self, "schedule"):
            return
        for batch in self.running:
            self.finish(list(batch.jobs))
        while True:
            self.schedule.release(float("inf"))
            self.settle_what_was_published()
            left = self.schedule.take(float("inf"))
            if left is None:
                break
            self.finish(list(left.jobs))
        for assignment in self.held.values():
            assert assignment.unfinished == 0
            assert assignment.retries.waiting == 0


TestBatches = BatchMachine.TestCase
TestBatches.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
