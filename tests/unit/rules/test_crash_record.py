"""What this member tells the next owner of a partition about crashes, and whom it suspects itself."""

from __future__ import annotations

import msgspec

from core_messaging.rules.commit_metadata import PROVEN_AFTER, Ownership
from core_messaging.rules.crash_record import CrashRecord

LAST = Ownership(
    is_owned=True, crashes=1, isolated_offset=7, delivered=20, solo_crashes=1, owner=5, is_exact=True
)


def test_a_message_that_was_alone_in_two_crashes_is_poison_and_one_that_ran_well_is_not() -> None:
    record = CrashRecord(member=6, last=msgspec.structs.replace(LAST, crashed_owners=(4,)))
    assert (record.crashes, record.suspected_offset, record.solo_crashes) == (2, 7, 2)
    assert record.is_poison(7)
    record.end_isolation(7)
    assert not record.is_poison(7)


def test_a_suspect_beyond_the_end_of_the_log_is_not_believed() -> None:
    record = CrashRecord(member=6, last=LAST)
    assert not record.limit_to(7)
    assert (record.suspected_offset, record.isolated_offset) == (None, None)
    assert record.limit_to(7)


def test_a_member_that_started_nothing_passes_on_what_it_was_told() -> None:
    record = CrashRecord(member=6, last=LAST)
    told = record.ownership(20, owned_by_us=True, has_delivered=False)
    assert CrashRecord(member=8, last=told).crashed_owners == record.crashed_owners


def test_a_partition_that_is_given_back_in_order_has_no_owner() -> None:
    record = CrashRecord(member=6, last=LAST)
    assert record.ownership(30, owned_by_us=False, has_delivered=True) == Ownership()


def test_work_is_announced_once_and_what_is_in_hand_only_after_a_crash() -> None:
    calm, wary = CrashRecord(member=6), CrashRecord(member=6, last=LAST)
    assert (calm.announce(), calm.announce()) == (True, False)
    assert not calm.announce_up_to(5)
    assert wary.announce_up_to(25)
    assert not wary.announce_up_to(25)
    assert wary.announce_up_to(LAST.proven_from + PROVEN_AFTER)  # from here on nothing is said any more
    assert not wary.announce_up_to(LAST.proven_from + PROVEN_AFTER + 1)
