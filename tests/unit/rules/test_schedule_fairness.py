"""Nothing waits without bound: partitions take turns, and so do fresh messages and those that have waited already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.options import Ordering
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.batch import Batch
from core_messaging.rules.batch_schedule import BatchSchedule
from core_messaging.rules.flow_control import share_out
from core_messaging.rules.job import Job
from core_messaging.rules.message_schedule import MessageSchedule
from tests.unit.rules.records import PlainRecord

BACKLOG = 300
ORDERINGS = st.sampled_from(["key", "partition", "none"])


def partition_of(number: int) -> Assignment:
    return Assignment(TopicPartition("t", number), 1)


def records(first: int, count: int, keys: int) -> list[PlainRecord]:
    return [PlainRecord(offset, b"k%d" % (offset % keys)) for offset in range(first, first + count)]


def start(schedule: MessageSchedule, running: list[Job], slots: int) -> Job | None:
    """The next job; where all slots are taken the longest running one ends first."""
    if len(running) == slots:
        schedule.finish(running.pop(0))
    job = schedule.take()
    if job is not None:
        running.append(job)
    return job


@given(
    busy=st.integers(1, 6),
    slots=st.integers(1, 5),
    keys=st.integers(1, 40),
    ordering=ORDERINGS,
    begun=st.integers(0, 50),
)
def test_a_message_of_a_quiet_partition_starts_within_two_rounds_beside_any_backlog(
    busy: int, slots: int, keys: int, ordering: Ordering, begun: int
) -> None:
    schedule = MessageSchedule(ordering)
    for number in range(busy):
        schedule.deliver(partition_of(number), records(0, BACKLOG, keys))
    running: list[Job] = []
    for _ in range(begun):
        start(schedule, running, slots)
    quiet = partition_of(busy)
    schedule.deliver(quiet, records(0, 1, 1))
    started = [start(schedule, running, slots) for _ in range(2 * (busy + 1))]
    assert quiet in [job.assignment for job in started if job is not None]


@given(busy=st.integers(1, 6), ordering=ORDERINGS, begun=st.integers(0, 20), size=st.integers(1, 5))
def test_a_batch_of_a_quiet_partition_starts_within_two_rounds_beside_any_backlog(
    busy: int, ordering: Ordering, begun: int, size: int
) -> None:
    schedule = BatchSchedule(ordering, size, 1.0)
    for number in range(busy):
        schedule.deliver(partition_of(number), records(0, BACKLOG, 3), 0.0)
    for _ in range(begun):
        finish_batch(schedule, 0.0)
    quiet = partition_of(busy)
    schedule.deliver(quiet, records(0, 1, 1), 0.0)
    started = [finish_batch(schedule, 1.0) for _ in range(2 * (busy + 1))]
    assert quiet in [batch.assignment for batch in started if batch is not None]


def finish_batch(schedule: BatchSchedule, now: float) -> Batch | None:
    batch = schedule.take(now)
    for job in batch.jobs if batch is not None else ():
        schedule.finish(job)
    return batch


def failing(schedule: MessageSchedule, count: int) -> list[Job]:
    """So many jobs with a key each that have failed and are due again."""
    schedule.deliver(partition_of(0), records(0, count, count))
    jobs = [job for _ in range(count) if (job := schedule.take()) is not None]
    for job in jobs:
        job.attempt += 1
        schedule.retry(job, 0.0)
    schedule.release(0.0)
    return jobs


@given(failures=st.integers(1, 50), healthy=st.integers(1, 20), together=st.booleans())
def test_fresh_messages_get_every_second_start_beside_retries_that_are_always_due(
    failures: int, healthy: int, *, together: bool
) -> None:
    schedule = MessageSchedule("key")
    failed = failing(schedule, failures)
    target = failed[0].assignment if together else partition_of(1)
    schedule.deliver(target, [PlainRecord(1_000 + n, b"healthy%d" % n) for n in range(healthy)])
    started = []
    for _ in range(2 * healthy + 1):
        job = schedule.take()
        assert job is not None
        started.append(job)
        if job.attempt > 1:  # it fails again, and is due again at once
            schedule.retry(job, 0.0)
            schedule.release(0.0)
        else:
            schedule.finish(job)
    assert sum(job.attempt == 1 for job in started) == healthy


@given(failures=st.integers(1, 20), together=st.booleans())
def test_retries_that_are_due_get_every_second_start_beside_any_backlog(
    failures: int, *, together: bool
) -> None:
    schedule = MessageSchedule("key")
    failed = failing(schedule, failures)
    target = failed[0].assignment if together else partition_of(1)
    schedule.deliver(target, [PlainRecord(1_000 + n, b"new%d" % n) for n in range(BACKLOG)])
    started = [job for _ in range(2 * failures + 1) if (job := schedule.take()) is not None]
    assert sum(job.attempt > 1 for job in started) == failures


@given(failures=st.integers(1, 10), together=st.booleans())
def test_batches_that_are_retried_and_new_ones_start_in_turn(failures: int, *, together: bool) -> None:
    schedule = BatchSchedule("none", 2, 1.0)
    first, other = partition_of(0), partition_of(1)
    schedule.deliver(first, records(0, 2 * failures, 1))
    batches = [batch for _ in range(failures) if (batch := schedule.take()) is not None]
    for batch in batches:
        for job in batch.jobs:
            job.attempt = 2
        schedule.again(batch.jobs, 0.0)
    schedule.release(0.0)
    schedule.deliver(first if together else other, records(1_000, 2 * failures, 1))
    started = [batch for _ in range(2 * failures) if (batch := schedule.take()) is not None]
    kinds = [batch.jobs[0].attempt > 1 for batch in started]
    assert sum(kinds) == failures
    assert all(kinds[i] != kinds[i + 1] for i in range(0, 2 * failures, 2))


@given(waiting=st.lists(st.integers(0, 200), min_size=1, max_size=30), limit=st.integers(1, 300))
def test_each_partition_gets_its_part_of_a_fetch_and_no_room_is_left_unused(
    waiting: list[int], limit: int
) -> None:
    left = {("t", number): count for number, count in enumerate(waiting)}

    def read(source: tuple[str, int], count: int) -> list[PlainRecord]:
        taken = min(count, left[source])
        left[source] -= taken
        return [PlainRecord(0)] * taken

    taken = {source: len(found) for source, found in share_out(list(left), limit, read).items()}
    assert sum(taken.values()) == min(limit, sum(waiting))
    for number, count in enumerate(waiting):
        assert taken.get(("t", number), 0) >= min(count, limit // len(waiting))
