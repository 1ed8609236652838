"""How much may be fetched where what waits can only go on with a record that comes later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.options import OnFullRetries
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.blocked_keys import MOST
from core_messaging.rules.flow_control import FlowLimits, plan, quiet
from tests.unit.rules.records import PlainRecord


def waiting(number: int, count: int, *, blocked: int = 0) -> Assignment:
    """A partition with *count* messages that wait, and so many blocked keys."""
    assignment = Assignment(TopicPartition("t", number), 1)
    if count:
        assignment.deliver([PlainRecord(offset, value=b"x" * 100) for offset in range(count)])
    assignment.held = count
    for key in range(blocked):
        assignment.blocked.add(b"k%d" % key)
    return assignment


@pytest.mark.parametrize("policy", ["wait", "dead-letter"])
@given(count=st.integers(0, 800), others=st.integers(0, 3))
def test_where_no_more_keys_can_be_blocked_it_is_read_on_beyond_the_budget_of_what_waits(
    policy: OnFullRetries, count: int, others: int
) -> None:
    # The record that lifts a block comes later. Without reading on it is never seen, and nothing moves any more.
    limits = FlowLimits(records=4_000, held=100, on_full=policy)
    full = waiting(0, count, blocked=MOST)
    todo = plan([full, *(waiting(n, 0) for n in range(1, 1 + others))], frozenset(), limits)
    assert todo.room > 0
    assert (todo.pause, todo.over_budget, todo.stranded) == ((), (), ())
    paused = plan([full], frozenset({full.source}), limits)
    assert paused.resume == (full.source,)


def test_with_a_place_for_one_more_key_the_budget_holds() -> None:
    limits = FlowLimits(records=4_000, held=100)
    todo = plan([waiting(0, 100, blocked=MOST - 1)], frozenset(), limits)
    assert len(todo.pause) == len(todo.over_budget) == 1


@pytest.mark.parametrize("limits", [FlowLimits(records=1_000, held=100), FlowLimits(held=100, size=50_000)])
def test_reading_on_ends_where_there_is_no_memory_left_and_that_is_told(limits: FlowLimits) -> None:
    full = waiting(0, 1_000, blocked=MOST)
    todo = plan([full], frozenset(), limits)
    assert todo.room == 0
    assert todo.stranded == (full.source,)


def test_partitions_without_anything_at_hand_are_looked_at_beside_those_that_have_enough() -> None:
    working, nothing, retrying, paused = waiting(0, 0), waiting(1, 0), waiting(2, 50), waiting(3, 0)
    crowded = waiting(4, 500)
    crowded.held = 0  # all of them wait for a lane that is taken: more would start nothing
    mine = [working, nothing, retrying, paused, crowded]
    assert quiet(mine, {working}, {paused.source}) == [nothing.source, retrying.source]
