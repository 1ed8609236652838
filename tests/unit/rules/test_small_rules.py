"""Assignments, intake, dead letters and the log throttle."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.logs.throttle import Throttle
from core_messaging.options import OnFullRetries
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import FEW, Assignment
from core_messaging.rules.commit_metadata import (
    LIMIT,
    MAX_ATTEMPTS,
    PROVEN_AFTER,
    SURELY_FIT,
    CommitNote,
    Ownership,
)
from core_messaging.rules.dead_letter import dead_letter, trace_headers, without_core_headers
from core_messaging.rules.flow_control import FlowLimits, plan
from core_messaging.rules.schedule import Schedule
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("t", 0)


def test_nothing_is_committed_before_anything_was_delivered() -> None:
    assert Assignment(SOURCE, 1).progress() is None


def test_the_same_progress_is_not_committed_twice() -> None:
    assignment = Assignment(SOURCE, 1, Committed(7))
    chunk = assignment.deliver([PlainRecord(9)])
    for offset in (9, 10):
        commit = assignment.progress()
        assert commit is not None
        assert commit.offset == offset
        assignment.acknowledged = commit
        assert assignment.progress() is None
        chunk.finish(0)


def test_a_partition_that_is_given_back_says_so_and_one_whose_owner_vanished_does_not() -> None:
    first = Assignment(SOURCE, 1, Committed(0))
    first.deliver([PlainRecord(0)])
    for held, crashes in ((True, 1), (False, 0)):
        commit = first.progress(held=held)
        assert Assignment(SOURCE, 2, commit).crashes == crashes


def test_owners_that_vanish_in_a_row_are_counted_until_the_danger_is_passed() -> None:
    commit: Committed | None = None
    for crashes in range(4):
        assignment = Assignment(SOURCE, crashes, commit)
        assert assignment.crashes == crashes
        chunk = assignment.deliver([PlainRecord(i) for i in range(10)])
        commit = assignment.progress()
    more = assignment.deliver([PlainRecord(i) for i in range(10, 10 + PROVEN_AFTER)])
    for index in range(10):
        chunk.finish(index)
    assert assignment.progress() is not None
    assert assignment.crashes == 3
    for index in range(PROVEN_AFTER):
        more.finish(index)
    assert assignment.progress() is not None
    assert assignment.crashes == 0


def vanished_with(suspect: int | None, before: Assignment | None = None) -> Assignment:
    """The next owner's, after one that had *before* has vanished with *suspect* alone under way."""
    last = before or Assignment(SOURCE, 1, Committed(0, CommitNote.of(0, (), {}, Ownership()).encode()))
    last.deliver([PlainRecord(offset) for offset in range(10)])
    last.suspect = suspect
    commit = last.progress()
    assert commit is not None
    return Assignment(SOURCE, 2, commit)


def test_one_that_was_killed_for_another_reason_while_a_message_ran_alone_makes_it_no_culprit() -> None:
    # Two that vanished for reasons of their own and a third that died with the message: it was dead-lettered, as if
    # it had been running each time.
    anonymous = vanished_with(None, vanished_with(None))
    once = vanished_with(7, anonymous)
    assert (once.crashes, once.accused, once.is_poison(7)) == (3, 7, False)
    twice = vanished_with(7, once)
    assert (twice.crashes, twice.is_poison(7), twice.is_poison(8)) == (4, True, False)
    assert not vanished_with(8, once).is_poison(8)  # another one
    once.clear_suspicion(7)  # it ran alone, and nothing happened
    assert not vanished_with(7, once).is_poison(7)
    assert not vanished_with(7, vanished_with(None, once)).is_poison(7)


def test_a_partition_that_is_worked_off_forgives_earlier_crashes() -> None:
    vanished = Assignment(SOURCE, 1, Committed(0))
    vanished.deliver([PlainRecord(0)])
    assignment = Assignment(SOURCE, 2, vanished.progress())
    chunk = assignment.deliver([PlainRecord(0)])
    assignment.caught_up()
    assert assignment.crashes == 1
    chunk.finish(0)
    assignment.caught_up()
    assert assignment.crashes == 0


def test_a_gap_of_compaction_is_never_waited_for() -> None:
    # Consecutive numbers were expected elsewhere, and commits stood still until a restart.
    assignment = Assignment(SOURCE, 1, Committed(0))
    chunk = assignment.deliver([PlainRecord(5), PlainRecord(90), PlainRecord(1_000)])
    for index in range(3):
        chunk.finish(index)
    assert assignment.committable() == 1_001


def test_a_finished_record_is_not_kept_alive_by_a_slow_neighbour() -> None:
    chunk = Assignment(SOURCE, 1).deliver(
        [PlainRecord(0, value=b"x" * 100), PlainRecord(1, value=b"y" * 100)]
    )
    chunk.finish(1)
    assert chunk.records[1] is None
    assert chunk.held_bytes == 100


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
    chunk = full._chunks[0]
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
    schedule = Schedule("none")
    assert [schedule.wanted(waiting) for waiting in (0, 1, 8, 100, 1_000)] == [500, 200, 200, 200, 2_000]
    schedule.deliver(Assignment(SOURCE, 1), [PlainRecord(offset) for offset in range(300)])
    assert [schedule.wanted(waiting) for waiting in (0, 8, 150)] == [500, 0, 300]


def test_nothing_is_asked_for_while_all_are_paused_so_that_the_group_hears_of_us_in_another_way() -> None:
    # There was room, so it looked like fetching; but nothing was asked of the client, which left the group for it.
    limits = FlowLimits(records=1_000, partition_records=100)
    mine = assigned(100, 100)
    todo = plan(mine, frozenset(), limits)
    assert todo.pause == tuple(assignment.source for assignment in mine)
    assert todo.room == 0
    mine[0]._chunks[0].finish(0)
    assert plan(mine, frozenset(todo.pause), limits).room == 0
    for index in range(1, 50):
        mine[0]._chunks[0].finish(index)
    assert plan(mine, frozenset(todo.pause), limits).room > 0


def test_what_waits_for_a_retry_has_a_budget_of_its_own_beside_the_share() -> None:
    # It filled the share first, so that the budget was never full and nothing was dead-lettered to make room.
    bad, good = assigned(100, 0)
    bad.held = 100
    todo = plan(
        [bad, good],
        frozenset(),
        FlowLimits(records=1_000, partition_records=100, held=200, on_full="dead-letter"),
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
    assignment.held = 9
    assert plan([assignment], frozenset(), FlowLimits(records=10)).room == 9
    todo = plan([assignment], frozenset(), FlowLimits(records=10, held=9))
    assert (todo.pause, todo.over_budget) == ((SOURCE,), ((assignment, 5),))


def test_retries_of_one_partition_fill_its_own_share_of_the_budget_only() -> None:
    bad, good = assigned(10, 10)
    bad.held = 5
    limits = FlowLimits(records=100, held=10)
    todo = plan([bad, good], frozenset(), limits)
    assert (todo.pause, todo.room) == ((bad.source,), 85)
    for held, resumed in ((3, ()), (2, (bad.source,))):
        bad.held = held
        assert plan([bad, good], frozenset({bad.source}), limits).resume == resumed


def scattered(count: int) -> Assignment:
    """An assignment in which every second of *count* messages is finished, in gaps that compress badly."""
    chance = random.Random(7)
    offsets = sorted(chance.sample(range(count * 50), count))
    assignment = Assignment(SOURCE, 1, Committed(0))
    chunk = assignment.deliver([PlainRecord(offset) for offset in offsets])
    chunk.cursor = count
    for index in range(1, count, 2):
        chunk.finish(index)
    return assignment


def test_the_intake_slows_before_the_note_would_not_fit_and_resumes_when_there_is_room() -> None:
    # A note that leaves out what is finished is right, and repeats it after a crash.
    other = Assignment(TopicPartition("t", 1), 1)
    assert plan([scattered(300), other], frozenset(), FlowLimits()).pause == ()
    full = scattered(3_600)
    todo = plan([full, other], frozenset(), FlowLimits())
    assert todo.pause == todo.crowded == (SOURCE,)
    assert full.note_size() <= LIMIT
    commit = full.progress()
    assert commit is not None
    assert len(CommitNote.decode(commit.metadata).finished(commit.offset)) >= 1_799
    assert plan([full, other], frozenset({SOURCE}), FlowLimits()).resume == ()
    roomy = scattered(600)
    assert plan([roomy, other], frozenset({SOURCE}), FlowLimits()).resume == (SOURCE,)


@given(
    st.lists(st.tuples(st.integers(1, 65_000), st.integers(1, 65_000)), max_size=SURELY_FIT),
    st.dictionaries(st.integers(0, 65_000), st.integers(2, 100), max_size=MAX_ATTEMPTS),
)
def test_so_few_runs_fit_whatever_they_are(runs: list[tuple[int, int]], attempts: dict[int, int]) -> None:
    numbers = tuple(number for run in runs for number in run)
    assert CommitNote(numbers, attempts).size <= LIMIT


def test_bytes_bound_the_intake_too() -> None:
    assignment = Assignment(SOURCE, 1)
    assignment.deliver([PlainRecord(0, value=b"x" * 1000)])
    assert plan([assignment], frozenset(), FlowLimits(size=1000)).room == 0


def make_letter(record: PlainRecord, error: Exception) -> dict[str, bytes]:
    letter = dead_letter(
        record, topic="t-dlq", worker="W", group_id="g", attempts=4, error=error, failed_at=12.5
    )
    assert (letter.key, letter.value, letter.topic) == (record.key, record.value, "t-dlq")
    return dict(letter.headers)


def test_a_dead_letter_tells_where_it_comes_from_and_why() -> None:
    record = PlainRecord(17, b"k", b"\xff\x00", partition=2, timestamp=99, headers=(("trace", b"1"),))
    assert make_letter(record, ValueError("no address")) == {
        "trace": b"1",
        "core-original-topic": b"t",
        "core-original-partition": b"2",
        "core-original-offset": b"17",
        "core-original-timestamp": b"99",
        "core-worker": b"W",
        "core-group": b"g",
        "core-attempts": b"4",
        "core-error-type": b"ValueError",
        "core-error-message": b"no address",
        "core-failed-at": b"12.500",
    }


def test_headers_do_not_grow_with_every_round_trip_through_the_dlq() -> None:
    # They accumulated elsewhere until no broker took the record any more.
    record = PlainRecord(0, headers=(("a", b"1"),))
    once = dead_letter(
        record, topic="d", worker="W", group_id="g", attempts=1, error=OSError("x" * 9999), failed_at=0
    )
    again = dead_letter(
        dataclasses.replace(record, headers=once.headers),
        topic="d",
        worker="W",
        group_id="g",
        attempts=1,
        error=OSError("x" * 9999),
        failed_at=0,
    )
    assert again.headers == once.headers
    assert sum(len(value) for _, value in once.headers) < 1300
    assert without_core_headers(again.headers) == (("a", b"1"),)


def test_a_producers_own_headers_stay_whatever_they_begin_with() -> None:
    # Everything that began with "core-" was taken for ours, and was missing in the dead letter.
    record = PlainRecord(
        0, headers=(("core-tenant", b"7"), ("core-worker", b"stale"), ("core-unblock", b"replay"))
    )
    letter = make_letter(record, ValueError("x"))
    assert (letter["core-tenant"], letter["core-worker"]) == (b"7", b"W")
    assert "core-unblock" not in letter  # it was obeyed; whoever replays this letter says so anew
    assert without_core_headers(tuple(letter.items())) == (("core-tenant", b"7"),)


def test_an_error_message_that_is_no_unicode_does_not_stop_the_dead_letter() -> None:
    assert (
        make_letter(PlainRecord(0), ValueError("lone \udc80 surrogate"))["core-error-message"]
        == b"lone ? surrogate"
    )


def test_a_result_carries_the_trace_and_nothing_else() -> None:
    headers = (("traceparent", b"00-1"), ("secret", b"x"), ("baggage", b"b"))
    assert trace_headers(headers) == (("traceparent", b"00-1"), ("baggage", b"b"))


def test_one_line_a_kind_and_the_others_are_counted() -> None:
    throttle = Throttle(10.0)
    assert throttle.pass_through("a", 0.0) == 0
    assert throttle.pass_through("a", 5.0) is None
    assert throttle.pass_through("b", 5.0) == 0
    assert throttle.pass_through("a", 9.9) is None
    assert throttle.pass_through("a", 10.0) == 2


def test_kinds_that_never_repeat_do_not_grow_memory() -> None:
    throttle = Throttle(10.0, kinds=8)
    for number in range(1000):
        assert throttle.pass_through(number, 0.0) == 0
    assert len(throttle._last) <= 8


def test_a_record_that_waits_for_long_does_not_make_the_assignment_longer_with_every_fetch() -> None:
    assignment = Assignment(SOURCE, 1, Committed(0))
    assignment.deliver([PlainRecord(0)])  # waits for its retry, say
    for number in range(1, 1_000):
        assignment.deliver([PlainRecord(2 * number), PlainRecord(2 * number + 1)]).finish(0)
        assignment._chunks[-1].finish(1)
    assert len(assignment._chunks) < 2 * FEW
    assert (assignment.unfinished, assignment.committable()) == (1, 0)
    assert list(assignment.finished_beyond()) == [(2, 1_999)]


def test_the_size_of_a_large_note_is_not_computed_for_every_fetch_and_follows_it() -> None:
    assignment = Assignment(SOURCE, 1, Committed(0))
    chunk = assignment.deliver([PlainRecord(i) for i in range(4_000)])
    chunk.cursor = 4_000
    sizes = []
    for index in range(1, 4_000, 2):
        chunk.finish(index)
        sizes.append(assignment.note_size())
    assert sizes[: SURELY_FIT - 2] == [0] * (SURELY_FIT - 2)
    packed = assignment._note(0, held=True).size
    assert sizes[-1] > packed * 0.8
    assert len(set(sizes)) < 30


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
    assignment.held = held
    found = plan([assignment], frozenset(), FlowLimits(held=10, on_full=on_full))
    assert (found.pause == (source,)) is pauses
