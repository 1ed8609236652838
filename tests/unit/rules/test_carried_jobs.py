"""Jobs that still run when their partition comes straight back."""

from __future__ import annotations

from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.carried_jobs import CarriedJobs
from core_messaging.rules.job import Job
from tests.unit.rules.records import PlainRecord


def test_records_of_jobs_are_known_until_they_are_finished() -> None:
    assignment = Assignment(TopicPartition("t", 0), 1)
    records = [PlainRecord(7), PlainRecord(9)]
    chunk = assignment.deliver(records)
    carried = CarriedJobs()
    carried.add(Job(assignment, chunk, index, record, None) for index, record in enumerate(records))
    assert (carried.oldest(), carried.record_at(9)) == (records[0], records[1])
    chunk.finish(0)
    assert (carried.oldest(), carried.record_at(7)) == (records[1], None)
    chunk.finish(1)
    assert carried.oldest() is None
