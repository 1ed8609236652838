"""What may start in one partition, and what only has to be settled."""

from __future__ import annotations

from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.job import Job
from core_messaging.rules.partition_queue import PartitionQueue, SettlementQueue
from tests.unit.rules.records import PlainRecord


def jobs(partition: int, count: int) -> list[Job]:
    records = [PlainRecord(offset) for offset in range(count)]
    assignment = Assignment(TopicPartition("t", partition), 1)
    chunk = assignment.deliver(records)
    return [Job(assignment, chunk, index, record, None) for index, record in enumerate(records)]


def test_fresh_messages_are_those_that_nobody_has_looked_at() -> None:
    assignment = Assignment(TopicPartition("t", 0), 1)
    queue = PartitionQueue(assignment)
    assert (queue.fresh, queue.has_work) == (0, False)
    for first in (0, 3):
        queue.chunks.append(assignment.deliver([PlainRecord(first + n) for n in range(3)]))
    queue.chunks[0].take(2)
    assert (queue.fresh, queue.has_work) == (4, True)
    assert [record.offset for record in queue.untaken()] == [2, 3, 4, 5]


def test_a_message_that_has_waited_is_work_also_without_fresh_ones() -> None:
    (job,) = jobs(0, 1)
    queue = PartitionQueue(job.assignment)
    queue.ready.append(job)
    assert queue.has_work


def test_settlements_are_told_when_they_come_and_taken_in_their_order() -> None:
    told: list[int] = []
    queue = SettlementQueue(lambda: told.append(1))
    first, second = jobs(0, 2)
    queue.put(first)
    queue.put(second)
    assert (len(told), len(queue)) == (2, 2)
    assert [queue.take(), queue.take(), queue.take()] == [first, second, None]


def test_settlements_of_a_partition_that_is_gone_are_forgotten_and_the_others_stay() -> None:
    queue, (gone,), (stays,) = SettlementQueue(), jobs(0, 1), jobs(1, 1)
    for job in (gone, stays):
        queue.put(job)
    queue.forget(gone.assignment)
    assert [queue.take(), queue.take()] == [stays, None]
