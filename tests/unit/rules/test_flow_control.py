"""How much may be fetched, and which partitions pause: by records, bytes, waiting retries and blocked keys."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.options import OnFullRetries
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.blocked_keys import MOST
from core_messaging.rules.commit_metadata import (
    LIMIT,
    CommitNote,
)
from core_messaging.rules.flow_control import FlowLimits, plan, quiet
from core_messaging.rules.message_schedule import MessageSchedule
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("t", 0)


def waiting(number: int, count: int, *, blocked: int = 0) -> Assignment:
    """A partition with *count* messages that wait, and so many blocked keys."""
    assignment = Assignment(TopicPartition("t", number), 1)
    if count:
        assignment.deliver([PlainRecord(offset, value=b"x" * 100) for offset in range(count)])
    assignment.retries.add_waiting(count)
    for key in range(blocked):
        assignment.blocked_keys.add(b"k%d" % key)
    return assignment


@pytest.mark.parametrize("policy", ["wait", "dead-letter"])
@given(count=st.integers(0, 800), others=st.integers(0, 3))
def test_where_no_more_keys_can_be_blocked_it_is_read_on_beyond_the_budget_of_what_waits(
    policy: OnFullRetries, count: int, others: int
) -> None:
    # The record that lifts a block comes later. Without reading on it is never seen, and nothing moves any more.
    limits = FlowLimits(records=4_000, waiting_retries=100, on_full=policy)
    full = waiting(0, count, blocked=MOST)
    todo = plan([full, *(waiting(n, 0) for n in range(1, 1 + others))], frozenset(), limits)
    assert todo.room > 0
    assert (todo.pause, todo.over_budget, todo.awaiting_unblock) == ((), (), ())
    paused = plan([full], frozenset({full.source}), limits)
    assert paused.resume == (full.source,)


def test_with_a_place_for_one_more_key_the_budget_holds() -> None:
    limits = FlowLimits(records=4_000, waiting_retries=100)
    todo = plan([waiting(0, 100, blocked=MOST - 1)], frozenset(), limits)
    assert len(todo.pause) == len(todo.over_budget) == 1


@pytest.mark.parametrize(
    "limits", [FlowLimits(records=1_000, waiting_retries=100), FlowLimits(waiting_retries=100, size=50_000)]
)
def test_reading_on_ends_where_there_is_no_memory_left_and_that_is_told(limits: FlowLimits) -> None:
    full = waiting(0, 1_000, blocked=MOST)
    todo = plan([full], frozenset(), limits)
    assert todo.room == 0
    assert todo.awaiting_unblock == (full.source,)


def test_partitions_without_anything_at_hand_are_looked_at_beside_those_that_have_enough() -> None:
    working, nothing, retrying, paused = waiting(0, 0), waiting(1, 0), waiting(2, 50), waiting(3, 0)
    behind_a_lane = waiting(4, 500)
    behind_a_lane.retries.remove_waiting(
        500
    )  # all of them wait for a lane that is taken: more would start nothing
    mine = [working, nothing, retrying, paused, behind_a_lane]
    assert quiet(mine, {working}, {paused.source}) == [nothing.source, retrying.source]


def assigned(*unfinished: int) -> list[Assignment]:
    assignments = []
    for number, count in enumerate(unfinished):
        assignment = Assignment(TopicPartition("t", number), 1)
        if count:
            assignment.deliver([PlainRecord(i) for i in range(count)])
        assignments.append(assignment)
    return assignments


@given(st.lists(st.integers(0, 12), max_size=6), st.integers(1, 20))
def test_there_is_never_room_beyond_the_limit(unfinished: list[int], limit: int) -> None:
    room = plan(assigned(*unfinished), frozenset(), FlowLimits(records=limit)).room
    assert room == 0 or room + sum(unfinished) == limit


def test_a_full_partition_pauses_beside_others_and_resumes_at_half_so_that_it_does_not_flap() -> None:
    limits = FlowLimits(records=20, partition_records=10)
    full, other = assigned(10, 0)
    todo = plan([full, other], frozenset(), limits)
    assert (todo.pause, todo.room) == ((full.source,), 10)
    chunk = full.offsets._chunks[0]
    for done in range(4):
        chunk.finish(done)
        assert plan([full, other], frozenset({full.source}), limits).resume == ()
    chunk.finish(4)
    assert plan([full, other], frozenset({full.source}), limits).resume == (full.source,)


def test_a_partition_that_is_alone_is_not_paused_because_no_room_does_the_same() -> None:
    (alone,) = assigned(20)
    todo = plan([alone], frozenset(), FlowLimits(records=20, partition_records=10))
    assert (todo.pause, todo.room) == ((), 0)


@pytest.mark.parametrize("partitions", [2, 4, 9, 17, 80])
def test_there_is_room_for_each_partition_however_full_the_others_are(partitions: int) -> None:
    # Two of four partitions held all that may be in flight, and the others waited until those were through.
    mine = assigned(*[0] * partitions)
    for assignment in mine[:-1]:
        # The client hands out the first partition that is not paused, as much as is asked for.
        room = plan(mine, frozenset(), FlowLimits()).room
        assert room > 0
        assignment.deliver([PlainRecord(offset) for offset in range(room)])
    todo = plan(mine, frozenset(), FlowLimits())
    assert todo.pause == tuple(assignment.source for assignment in mine[:-1])
    assert todo.room > 0


def test_a_fetch_is_small_where_handlers_wait_and_holds_enough_for_all_of_them() -> None:
    # A fetch is parsed in one go: a hundred handlers of 2.5 ms waited 1.6 ms for each 500 records.
    schedule = MessageSchedule("none")
    assert [schedule.wanted(waiting) for waiting in (0, 1, 8, 100, 1_000)] == [1_000, 200, 200, 200, 2_000]
    schedule.deliver(Assignment(SOURCE, 1), [PlainRecord(offset) for offset in range(300)])
    assert [schedule.wanted(waiting) for waiting in (0, 8, 150)] == [1_000, 0, 300]


def test_nothing_is_asked_for_while_all_are_paused_so_that_the_group_hears_of_us_in_another_way() -> None:
    # There was room, so it looked like fetching; but nothing was asked of the client, which left the group for it.
    limits = FlowLimits(records=1_000, partition_records=100)
    mine = assigned(100, 100)
    todo = plan(mine, frozenset(), limits)
    assert todo.pause == tuple(assignment.source for assignment in mine)
    assert todo.room == 0
    mine[0].offsets._chunks[0].finish(0)
    assert plan(mine, frozenset(todo.pause), limits).room == 0
    for index in range(1, 50):
        mine[0].offsets._chunks[0].finish(index)
    assert plan(mine, frozenset(todo.pause), limits).room > 0


def test_what_waits_for_a_retry_has_a_budget_of_its_own_beside_the_share() -> None:
    # It filled the share first, so that the budget was never full and nothing was dead-lettered to make room.
    bad, good = assigned(100, 0)
    bad.retries.add_waiting(100)
    todo = plan(
        [bad, good],
        frozenset(),
        FlowLimits(records=1_000, partition_records=100, waiting_retries=200, on_full="dead-letter"),
    )
    assert (todo.pause, todo.over_budget) == ((), ((bad, 50),))


def test_a_little_room_is_none_so_that_fetches_stay_large() -> None:
    limits = FlowLimits(records=800)
    assert plan(assigned(750, 0), frozenset(), limits).room == 0
    assert plan(assigned(700, 0), frozenset(), limits).room == 100


def test_messages_waiting_for_a_retry_do_not_close_the_intake_for_the_others() -> None:
    # Keys that fail for ever filled the gate elsewhere, and the throughput of good ones went to zero.
    assignment = Assignment(SOURCE, 1)
    assignment.deliver([PlainRecord(i) for i in range(10)])
    assignment.retries.add_waiting(9)
    assert plan([assignment], frozenset(), FlowLimits(records=10)).room == 9
    todo = plan([assignment], frozenset(), FlowLimits(records=10, waiting_retries=9))
    assert (todo.pause, todo.over_budget) == ((SOURCE,), ((assignment, 5),))


def test_retries_of_one_partition_fill_its_own_share_of_the_budget_only() -> None:
    bad, good = assigned(10, 10)
    bad.retries.add_waiting(5)
    limits = FlowLimits(records=100, waiting_retries=10)
    todo = plan([bad, good], frozenset(), limits)
    assert (todo.pause, todo.room) == ((bad.source,), 85)
    for fewer, resumed in ((2, ()), (1, (bad.source,))):
        bad.retries.remove_waiting(fewer)
        assert plan([bad, good], frozenset({bad.source}), limits).resume == resumed


def scattered(count: int) -> Assignment:
    """An assignment in which every second of *count* messages is finished, in gaps that compress badly."""
    chance = random.Random(7)
    offsets = sorted(chance.sample(range(count * 50), count))
    assignment = Assignment(SOURCE, 1, Committed(0))
    chunk = assignment.deliver([PlainRecord(offset) for offset in offsets])
    chunk.take(count)
    for index in range(1, count, 2):
        chunk.finish(index)
    return assignment


def test_the_intake_slows_before_the_note_would_not_fit_and_resumes_when_there_is_room() -> None:
    # A note that leaves out what is finished is right, and repeats it after a crash.
    other = Assignment(TopicPartition("t", 1), 1)
    assert plan([scattered(300), other], frozenset(), FlowLimits()).pause == ()
    full = scattered(3_600)
    todo = plan([full, other], frozenset(), FlowLimits())
    assert todo.pause == todo.metadata_full == (SOURCE,)
    assert full.metadata_size(full.unfinished) <= LIMIT
    commit = full.progress()
    assert commit is not None
    assert len(CommitNote.decode(commit.metadata).finished(commit.offset)) >= 1_799
    assert plan([full, other], frozenset({SOURCE}), FlowLimits()).resume == ()
    roomy = scattered(600)
    assert plan([roomy, other], frozenset({SOURCE}), FlowLimits()).resume == (SOURCE,)


def test_bytes_bound_the_intake_too() -> None:
    assignment = Assignment(SOURCE, 1)
    assignment.deliver([PlainRecord(0, value=b"x" * 1000)])
    assert plan([assignment], frozenset(), FlowLimits(size=1000)).room == 0


@pytest.mark.parametrize(
    ("on_full", "held", "pauses"),
    [("wait", 9, False), ("wait", 10, True), ("dead-letter", 19, False), ("dead-letter", 20, True)],
)
def test_what_cannot_be_made_room_of_stops_the_intake(
    on_full: OnFullRetries, held: int, pauses: bool
) -> None:
    # Under "dead-letter" nothing did where the dead letters were not acknowledged: the whole backlog came in.
    source = TopicPartition("t", 0)
    assignment = Assignment(source, 1)
    assignment.retries.add_waiting(held)
    found = plan([assignment], frozenset(), FlowLimits(waiting_retries=10, on_full=on_full))
    assert (found.pause == (source,)) is pauses
