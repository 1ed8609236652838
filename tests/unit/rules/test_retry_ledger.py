"""What was tried before, when it may be tried again, and how many messages wait."""

from __future__ import annotations

from core_messaging.rules.retry_ledger import RetryLedger
from tests.unit.rules.records import PlainRecord


def test_a_message_that_was_tried_before_waits_until_its_time_where_that_is_known() -> None:
    ledger = RetryLedger()
    ledger.inherit({3: 2, 4: 2, 5: 1}, {3: 70.0})
    assert ledger.due_time(3, 50.0, lambda attempt: 10.0 * attempt) == 70.0
    assert (
        ledger.due_time(4, 50.0, lambda attempt: 10.0 * attempt) == 70.0
    )  # its whole delay, because nobody knows
    assert ledger.due_time(5, 50.0, lambda attempt: 10.0 * attempt) == 50.0  # it was not tried
    assert not ledger.has_inherited


def test_a_time_that_has_passed_is_now_and_one_that_waits_for_nothing_stays_so() -> None:
    ledger = RetryLedger()
    ledger.inherit({3: 2, 4: 2}, {3: 10.0, 4: 99.0})
    assert ledger.due_time(3, 50.0, lambda _attempt: 1.0) == 50.0
    assert ledger.due_time(4, float("-inf"), lambda _attempt: 1.0) == float("-inf")


def test_attempts_beyond_the_end_of_the_log_are_not_believed() -> None:
    ledger = RetryLedger()
    attempts = ledger.next_attempts
    ledger.inherit({3: 2, 10: 2})
    ledger.limit_to(10)
    assert attempts == {3: 2}  # the very dict that the schedule looks into


def test_a_finished_message_is_forgotten_with_its_record() -> None:
    ledger = RetryLedger()
    ledger.note_attempt(3, 2)
    ledger.note_attempt(4, 1)  # the first attempt is nothing to note
    ledger.keep_record(PlainRecord(3))
    assert (ledger.next_attempts, ledger.record_at(3)) == ({3: 2}, PlainRecord(3))
    ledger.forget(3)
    assert (ledger.next_attempts, ledger.record_at(3)) == ({}, None)


def test_messages_behind_offsets_that_have_come_are_not_waited_for() -> None:
    ledger = RetryLedger()
    ledger.inherit({3: 2, 9: 2})
    ledger.delivered_up_to(3)
    assert ledger.has_inherited
    ledger.delivered_up_to(9)
    assert not ledger.has_inherited
