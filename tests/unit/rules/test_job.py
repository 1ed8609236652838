"""One message on its way: what it counts, and what it is worth once nobody owns it."""

from __future__ import annotations

from core_messaging.records import Outgoing, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.job import Job, Sending
from core_messaging.rules.message_schedule import MessageSchedule
from tests.unit.rules.records import PlainRecord


def job_of(assignment: Assignment) -> Job:
    record = PlainRecord(7, b"k")
    return Job(assignment, assignment.deliver([record]), 0, record, b"k")


def test_its_text_is_where_the_message_is() -> None:
    assert str(job_of(Assignment(TopicPartition("orders", 3), 1))) == "orders[3]@7"


def test_attempts_that_max_retries_does_not_count_are_left_out() -> None:
    job = job_of(Assignment(TopicPartition("t", 0), 1))
    job.attempt, job.uncounted = 5, 3
    assert job.counted_attempt == 2


def test_a_disowned_job_finishes_nothing_whatever_its_handler_brings() -> None:
    assignment = Assignment(TopicPartition("t", 0), 1)
    job = job_of(assignment)
    job.disown()
    assert not MessageSchedule("key").finish(job)
    assert (assignment.unfinished, assignment.committable()) == (1, 7)


def test_a_shortened_record_is_published_whole_again_after_restore() -> None:
    whole, less = Outgoing("t", b"x" * 10, None), Outgoing("t", b"x", None)
    sending = Sending(whole, None)
    sending.shorten(less)
    assert (sending.outgoing, sending.is_shortened) == (less, True)
    sending.restore()
    assert (sending.outgoing, sending.is_shortened) == (whole, False)
