"""Whoever may commit for the group writes what is read from its commits: it stops nobody, fills no memory and skips nothing."""

from __future__ import annotations

import base64
import tracemalloc
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.commit_metadata import BEYOND, LIMIT, MAX_RUNS, CommitNote, Ownership, read
from core_messaging.rules.group_progress import PartitionOffsets, progress_of
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("t", 0)
RECORDS = [PlainRecord(offset) for offset in range(5, 15)]
WHOLE = st.integers(-(2**63), 2**64 - 1)
ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats() | st.text(max_size=3) | st.binary(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(WHOLE | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
# As a note is built, with any number in each place.
NOTES = st.tuples(
    st.lists(WHOLE, max_size=6),
    st.dictionaries(WHOLE, WHOLE, max_size=3),
    st.tuples(st.booleans(), WHOLE, st.none() | WHOLE, WHOLE, WHOLE, WHOLE, st.lists(WHOLE, max_size=3)),
    st.binary(max_size=20),
    st.dictionaries(WHOLE, WHOLE, max_size=3),
)


def packed(fact: Any) -> str:
    return "1:" + base64.b85encode(zlib.compress(msgspec.msgpack.encode(fact))).decode()


def handed_out(commit: Committed, end: int) -> list[int]:
    """The offsets that a member starts, which finds *commit* in a log that ends at *end*; its own commits can be made."""
    assignment = Assignment(SOURCE, 1, commit)
    assignment.place(commit.offset, end)
    chunk = assignment.deliver([record for record in RECORDS if record.offset >= commit.offset])
    for owned in (True, False):
        written = assignment.progress(owned=owned)
        assert written is None or len(written.metadata) <= LIMIT
    progress_of(PartitionOffsets(SOURCE, 0, end, commit))
    return [record.offset for record in chunk.records if record is not None]


@settings(max_examples=400)
@given(NOTES | ANYTHING, st.integers(0, 5) | st.just(BEYOND - 1))
def test_any_numbers_in_any_place_stop_nobody(fact: Any, offset: int) -> None:
    commit = Committed(offset, packed(fact))
    reading = read(commit)
    assert reading.note == CommitNote() or not reading.refused
    if offset <= 5:
        assert handed_out(commit, 15) is not None


@given(st.integers(1, 2**62))
def test_what_is_said_to_be_finished_beyond_the_end_skips_nothing(length: int) -> None:
    commit = Committed(5, packed([[0, length]]))
    skipped = set(range(5, 15)) - set(handed_out(commit, 15))
    assert skipped == (set(range(5, 5 + length)) if length <= 10 else set())


def test_few_bytes_that_stand_for_very_many_runs_take_no_memory() -> None:
    metadata = packed([[1] * 3_000_000])
    assert len(metadata) <= LIMIT  # 2.9 MB in a commit
    tracemalloc.start()
    assert read(Committed(0, metadata)).refused
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_as_many_runs_as_are_written_are_read() -> None:
    runs = [(at, at) for at in range(1, 4 * MAX_RUNS, 2)]
    note = CommitNote.of(0, runs, {}, Ownership())
    assert CommitNote.decode(note.encode()).finished(0) == runs[:MAX_RUNS]


@pytest.mark.parametrize(
    "ownership",
    [
        {
            "crashes": 9,
            "isolated_offset": 7,
            "delivered": 9,
            "solo_crashes": 9,
        },  # nobody is named who has vanished
        {"crashes": 0, "isolated_offset": 7, "delivered": 9, "solo_crashes": 9, "owner": 1},
        {
            "crashes": 9,
            "isolated_offset": 70,
            "delivered": 90,
            "solo_crashes": 9,
            "owner": 1,
            "crashed_owners": (2, 3),
        },
    ],
)
def test_an_accusation_out_of_nothing_condemns_no_message(ownership: dict[str, Any]) -> None:
    note = CommitNote.of(5, (), {}, Ownership(is_owned=True, **ownership))
    assignment = Assignment(SOURCE, 1, Committed(5, note.encode()))
    assignment.place(5, 15)
    assert not any(assignment.crash_record.is_poison(offset) for offset in range(100))


def test_what_is_not_believed_is_told() -> None:
    assert read(Committed(5, "1:nonsense")).refused
    assert read(Committed(BEYOND - 2, packed([[0, 9]]))).refused
    assert not read(Committed(5, "somebody else's")).refused
    assert not read(Committed(5, "")).refused
    assignment = Assignment(SOURCE, 1, Committed(5, packed([[0, 2**40]])))
    assignment.place(5, 15)
    assert "beyond the end (15)" in assignment.metadata_refusal
