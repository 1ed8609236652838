"""What comes after an unsettled message of its key waits, and goes on in order when that is settled."""

from __future__ import annotations

from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.held_keys import HeldKeys
from core_messaging.rules.job import Job
from tests.unit.rules.records import PlainRecord

KEY = b"k"


def jobs(count: int) -> list[Job]:
    records = [PlainRecord(offset, KEY) for offset in range(count)]
    assignment = Assignment(TopicPartition("t", 0), 1)
    chunk = assignment.deliver(records)
    return [Job(assignment, chunk, index, record, KEY) for index, record in enumerate(records)]


def test_messages_behind_a_held_key_go_on_together_when_it_is_settled() -> None:
    held, (first, *others) = HeldKeys(), jobs(4)
    held.hold(KEY, first)
    for job in reversed(others):
        held.wait_behind(KEY, job, 1.0)
    assert (KEY in held, b"other" in held, held.behind) == (True, False, 3)
    assert [job for _, _, job in held.settle(KEY, first)] == others
    assert not held


def test_a_key_is_held_until_the_last_message_that_holds_it_is_settled() -> None:
    held, (first, second, behind) = HeldKeys(), jobs(3)
    held.hold(KEY, first)
    held.hold(KEY, second)
    held.wait_behind(KEY, behind, 1.0)
    assert held.settle(KEY, first) == []
    assert [job for _, _, job in held.settle(KEY, second)] == [behind]


def test_messages_that_were_tried_before_go_first_and_hold_the_key_themselves() -> None:
    held, (first, tried, fresh) = HeldKeys(), jobs(3)
    tried.attempt = 2
    held.hold(KEY, first)
    held.wait_behind(KEY, tried, 1.0)
    held.wait_behind(KEY, fresh, 1.0)
    assert [job for _, _, job in held.settle(KEY, first)] == [tried]
    assert KEY in held
    assert [job for _, _, job in held.settle(KEY, tried)] == [fresh]
    assert KEY not in held


def test_a_message_without_a_lane_holds_nothing() -> None:
    held, (first,) = HeldKeys(), jobs(1)
    held.hold(None, first)
    assert not held
    assert held.settle(None, first) == []
