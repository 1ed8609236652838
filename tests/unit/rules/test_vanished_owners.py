"""Only an owner that was never seen again has died."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.commit_metadata import MAX_VANISHED, Ownership
from core_messaging.rules.vanished_owners import Vanished, concluded, handed_on

MEMBERS = st.integers(1, 4)


def carried_on(found: Vanished, me: int, suspect: int | None) -> Ownership:
    alone = found.alone if suspect == found.suspect else 0
    return Ownership(
        held=True,
        crashes=found.crashes,
        suspect=suspect,
        delivered=9,
        alone=alone,
        owner=me,
        vanished=found.owners,
    )


@given(st.lists(st.tuples(MEMBERS, st.none() | st.just(7)), min_size=1, max_size=30))
def test_members_that_come_and_go_without_dying_are_never_more_deaths_than_there_are_others(
    turns: list[tuple[int, int | None]],
) -> None:
    last = Ownership()
    for me, suspect in turns:
        found = concluded(last, me)
        assert me not in found.owners
        assert found.crashes == len(found.owners) <= 3
        assert found.alone <= found.crashes
        last = carried_on(found, me, suspect)


@given(st.integers(0, 20))
def test_each_process_that_dies_counts(deaths: int) -> None:
    last = Ownership()
    for process in range(1, deaths + 1):
        last = carried_on(concluded(last, process), process, 7)
    found = concluded(last, 1_000)
    assert (found.crashes, found.alone) == (deaths, min(deaths, MAX_VANISHED + 1))
    assert found.suspect == (7 if deaths else None)


@given(st.lists(MEMBERS, max_size=6), st.none() | st.just(7))
def test_a_member_that_touches_no_message_hands_on_what_it_was_told(
    owners: list[int], suspect: int | None
) -> None:
    last = Ownership()
    for owner in owners:
        last = carried_on(concluded(last, owner), owner, suspect)
    found = concluded(last, 99)
    assert concluded(handed_on(found, 9), 98) == found


def test_an_accusation_without_an_owner_is_not_believed() -> None:
    found = concluded(Ownership(held=True, crashes=9, suspect=7, delivered=9, alone=9), 1)
    assert (found.suspect, found.alone) == (None, 0)


def test_what_was_given_back_in_order_has_no_dead_owner() -> None:
    assert concluded(Ownership(held=False, crashes=9, suspect=7, alone=9, owner=2), 1) == Vanished()
