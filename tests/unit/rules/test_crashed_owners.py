"""Only an owner that was never seen again has died."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.commit_metadata import MAX_CRASHED, Ownership
from core_messaging.rules.crashed_owners import CrashedOwners, crashed_before, unchanged_ownership

MEMBERS = st.integers(1, 4)


def carried_on(found: CrashedOwners, me: int, suspect: int | None) -> Ownership:
    alone = found.solo_crashes if suspect == found.suspected_offset else 0
    return Ownership(
        is_owned=True,
        crashes=found.crashes,
        isolated_offset=suspect,
        delivered=9,
        solo_crashes=alone,
        owner=me,
        crashed_owners=found.owners,
    )


@given(st.lists(st.tuples(MEMBERS, st.none() | st.just(7)), min_size=1, max_size=30))
def test_members_that_come_and_go_without_dying_are_never_more_deaths_than_there_are_others(
    turns: list[tuple[int, int | None]],
) -> None:
    last = Ownership()
    for me, suspect in turns:
        found = crashed_before(last, me)
        assert me not in found.owners
        assert found.crashes == len(found.owners) <= 3
        assert found.solo_crashes <= found.crashes
        last = carried_on(found, me, suspect)


@given(st.integers(0, 20))
def test_each_process_that_dies_counts(deaths: int) -> None:
    last = Ownership()
    for process in range(1, deaths + 1):
        last = carried_on(crashed_before(last, process), process, 7)
    found = crashed_before(last, 1_000)
    assert (found.crashes, found.solo_crashes) == (deaths, min(deaths, MAX_CRASHED + 1))
    assert found.suspected_offset == (7 if deaths else None)


@given(st.lists(MEMBERS, max_size=6), st.none() | st.just(7))
def test_a_member_that_touches_no_message_hands_on_what_it_was_told(
    owners: list[int], suspect: int | None
) -> None:
    last = Ownership()
    for owner in owners:
        last = carried_on(crashed_before(last, owner), owner, suspect)
    found = crashed_before(last, 99)
    assert crashed_before(unchanged_ownership(found, 9), 98) == found


def test_an_accusation_without_an_owner_is_not_believed() -> None:
    found = crashed_before(
        Ownership(is_owned=True, crashes=9, isolated_offset=7, delivered=9, solo_crashes=9), 1
    )
    assert (found.suspected_offset, found.solo_crashes) == (None, 0)


def test_what_was_given_back_in_order_has_no_dead_owner() -> None:
    assert (
        crashed_before(Ownership(is_owned=False, crashes=9, isolated_offset=7, solo_crashes=9, owner=2), 1)
        == CrashedOwners()
    )
