"""What of a partition may be committed, and what its commit says of owners that vanished."""

from __future__ import annotations

import pytest

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.commit_metadata import (
    PROVEN_AFTER,
    SURELY_FIT,
    CommitNote,
    Ownership,
)
from core_messaging.rules.offset_ledger import FEW
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
        assignment.acknowledge(commit)
        assert assignment.progress() is None
        chunk.finish(0)


def test_the_note_of_an_idle_partition_is_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # 500 idle partitions took a tenth of a core: the note of each was made and compressed every second.
    assignment = Assignment(SOURCE, 1, Committed(7))
    assignment.deliver([PlainRecord(9)]).finish(0)
    packed, encode = list[CommitNote](), CommitNote.encode

    def counted(note: CommitNote) -> str:
        packed.append(note)
        return encode(note)

    monkeypatch.setattr(CommitNote, "encode", counted)
    commit = assignment.progress()
    assert commit is not None
    assignment.acknowledge(commit)
    assert [assignment.progress() for _ in range(5)] == [None] * 5
    assert len(packed) == 1
    given_back = assignment.progress(owned=False)
    assert given_back is not None
    assert given_back.metadata != commit.metadata
    assert len(packed) == 2


def test_a_partition_that_is_given_back_says_so_and_one_whose_owner_vanished_does_not() -> None:
    first = Assignment(SOURCE, 1, Committed(0))
    first.deliver([PlainRecord(0)])
    for owned, crashes in ((True, 1), (False, 0)):
        commit = first.progress(owned=owned)
        assert Assignment(SOURCE, 2, commit).crash_record.crashes == crashes


def test_owners_that_vanish_in_a_row_are_counted_until_the_danger_is_passed() -> None:
    commit: Committed | None = None
    for crashes in range(4):
        assignment = Assignment(SOURCE, crashes, commit)
        assert assignment.crash_record.crashes == crashes
        chunk = assignment.deliver([PlainRecord(i) for i in range(10)])
        commit = assignment.progress()
    more = assignment.deliver([PlainRecord(i) for i in range(10, 10 + PROVEN_AFTER)])
    for index in range(10):
        chunk.finish(index)
    assert assignment.progress() is not None
    assert assignment.crash_record.crashes == 3
    for index in range(PROVEN_AFTER):
        more.finish(index)
    assert assignment.progress() is not None
    assert assignment.crash_record.crashes == 0


def left_by_crash_with(suspect: int | None, before: Assignment | None = None) -> Assignment:
    """The next owner's, after one that had *before* has vanished with *suspect* alone under way."""
    last = before or Assignment(SOURCE, 1, Committed(0, CommitNote.of(0, (), {}, Ownership()).encode()))
    last.deliver([PlainRecord(offset) for offset in range(10)])
    if suspect is None:
        last.crash_record.end_isolation(99)  # another message has run alone
    else:
        last.crash_record.isolate(suspect)
    commit = last.progress()
    assert commit is not None
    return Assignment(SOURCE, 2, commit)


def test_one_that_was_killed_for_another_reason_while_a_message_ran_alone_makes_it_no_culprit() -> None:
    # Two that vanished for reasons of their own and a third that died with the message: it was dead-lettered, as if
    # it had been running each time.
    anonymous = left_by_crash_with(None, left_by_crash_with(None))
    once = left_by_crash_with(7, anonymous)
    assert (
        once.crash_record.crashes,
        once.crash_record.suspected_offset,
        once.crash_record.is_poison(7),
    ) == (3, 7, False)
    twice = left_by_crash_with(7, once)
    assert (twice.crash_record.crashes, twice.crash_record.is_poison(7), twice.crash_record.is_poison(8)) == (
        4,
        True,
        False,
    )
    assert not left_by_crash_with(8, once).crash_record.is_poison(8)  # another one
    once.crash_record.end_isolation(7)  # it ran alone, and nothing happened
    assert not left_by_crash_with(7, once).crash_record.is_poison(7)
    assert not left_by_crash_with(7, left_by_crash_with(None, once)).crash_record.is_poison(7)


def test_a_partition_that_is_worked_off_forgives_earlier_crashes() -> None:
    vanished = Assignment(SOURCE, 1, Committed(0))
    vanished.deliver([PlainRecord(0)])
    assignment = Assignment(SOURCE, 2, vanished.progress())
    chunk = assignment.deliver([PlainRecord(0)])
    assignment.caught_up()
    assert assignment.crash_record.crashes == 1
    chunk.finish(0)
    assignment.caught_up()
    assert assignment.crash_record.crashes == 0


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


def test_a_record_that_waits_for_long_does_not_make_the_assignment_longer_with_every_fetch() -> None:
    assignment = Assignment(SOURCE, 1, Committed(0))
    assignment.deliver([PlainRecord(0)])  # waits for its retry, say
    for number in range(1, 1_000):
        assignment.deliver([PlainRecord(2 * number), PlainRecord(2 * number + 1)]).finish(0)
        assignment.offsets._chunks[-1].finish(1)
    assert len(assignment.offsets._chunks) < 2 * FEW
    assert (assignment.unfinished, assignment.committable()) == (1, 0)
    assert list(assignment.finished_beyond()) == [(2, 1_999)]


def test_the_size_of_a_large_note_is_not_computed_for_every_fetch_and_follows_it() -> None:
    assignment = Assignment(SOURCE, 1, Committed(0))
    chunk = assignment.deliver([PlainRecord(i) for i in range(4_000)])
    chunk.take(4_000)
    sizes = []
    for index in range(1, 4_000, 2):
        chunk.finish(index)
        sizes.append(assignment.metadata_size(assignment.unfinished))
    assert sizes[: SURELY_FIT - 2] == [0] * (SURELY_FIT - 2)
    packed = assignment._note(0, owned=True).size
    assert sizes[-1] > packed * 0.8
    assert len(set(sizes)) < 30
