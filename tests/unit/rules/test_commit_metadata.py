"""The note round-trips, fits, and never claims work that is not finished."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.commit_metadata import (
    LIMIT,
    MAX_ATTEMPTS,
    SURELY_FIT,
    CommitNote,
    Ownership,
)
from tests.unit.rules.records import PlainRecord

OFFSETS = st.integers(0, 2**62)


def runs_after(committed: int, gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    runs, position = [], committed
    for gap, length in gaps:
        first = position + gap
        runs.append((first, first + length - 1))
        position = first + length
    return runs


GAPS = st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)), max_size=400)


FIRST_GAP = st.integers(0, 10_000)


@given(
    OFFSETS,
    GAPS,
    FIRST_GAP,
    st.dictionaries(st.integers(0, 500), st.integers(2, 9), max_size=20),
    st.integers(0, 9),
)
def test_a_note_says_what_was_written_into_it(
    committed: int, gaps: list[tuple[int, int]], first: int, attempts: dict[int, int], crashes: int
) -> None:
    runs = runs_after(committed, [(first, 1), *gaps[:100]])
    absolute = {committed + offset: n for offset, n in attempts.items()}
    ownership = Ownership(
        is_owned=True, crashes=crashes, isolated_offset=committed + 3, delivered=committed + 8
    )
    written = CommitNote.of(committed, runs, absolute, ownership)
    note = CommitNote.decode(written.encode())
    assert note.finished(committed) == runs
    assert note.attempt_of(committed) == absolute
    assert note.ownership.shifted(committed) == ownership


@settings(max_examples=30, deadline=None)
@given(OFFSETS, st.integers(0, 2**32))
def test_what_does_not_fit_is_left_out_and_never_invented(committed: int, seed: int) -> None:
    chance = random.Random(seed)
    gaps = [(chance.randint(1, 10**6), chance.randint(1, 10**6)) for _ in range(2000)]
    runs = runs_after(committed, gaps)
    metadata = CommitNote.of(committed, runs, {}, Ownership()).encode()
    assert len(metadata.encode()) <= LIMIT
    found = CommitNote.decode(metadata).finished(committed)
    assert found == runs[: len(found)]
    assert len(found) > 100


@given(st.text(max_size=60))
def test_metadata_of_somebody_elses_is_an_empty_note(text: str) -> None:
    for metadata in (text, "1:" + text, "2:" + text):
        note = CommitNote.decode(metadata)
        assert note.finished(7) == [] or metadata.startswith("1:")


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=60))
def test_after_a_crash_only_what_was_not_finished_runs_again(steps: list[tuple[int, bool]]) -> None:
    # Gaps of compaction in between, any subset finished, then the next owner is delivered the same records.
    records, offset = [], 0
    for gap, _ in steps:
        offset += gap
        records.append(PlainRecord(offset))
    first = Assignment(TopicPartition("t", 0), 1, Committed(0))
    chunk = first.deliver(records)
    for index, (_, done) in enumerate(steps):
        if done:
            chunk.finish(index)
    commit = first.progress()
    assert commit is not None
    second = Assignment(TopicPartition("t", 0), 2, commit)
    again = [record for record in records if record.offset >= commit.offset]
    left = [r.offset for r in second.deliver(again).records if r is not None] if again else []
    assert left == [r.offset for r, (_, done) in zip(records, steps, strict=True) if not done]
    assert second.committable() == first.committable()


@given(st.lists(st.booleans(), min_size=2, max_size=12), st.integers(1, 11))
def test_nothing_is_forgotten_where_an_owner_is_gone_before_it_saw_all_that_is_finished(
    done: list[bool], seen: int
) -> None:
    # The note began with a finished record, was taken for nonsense, and everything it said was lost.
    records = [PlainRecord(offset) for offset in range(len(done))]
    first = Assignment(TopicPartition("t", 0), 1, Committed(0))
    chunk = first.deliver(records)
    for index, finished in enumerate(done):
        if finished:
            chunk.finish(index)
    first.blocked_keys.add(b"key")
    second = Assignment(TopicPartition("t", 0), 2, first.progress())
    start = second.committable() or 0
    delivered = records[start : start + seen]
    if delivered:
        part = second.deliver(delivered)
        for index in range(len(delivered)):
            part.finish(index)
    third = Assignment(TopicPartition("t", 0), 3, second.progress() or second.acknowledged)
    left = [n for n in range(len(done)) if not done[n] and n not in range(start, start + seen)]
    rest = records[third.committable() or 0 :]
    assert [r.offset for r in third.deliver(rest).records if r is not None] == left if rest else left == []
    assert b"key" in third.blocked_keys


@given(
    st.lists(st.tuples(st.integers(1, 65_000), st.integers(1, 65_000)), max_size=SURELY_FIT),
    st.dictionaries(st.integers(0, 65_000), st.integers(2, 100), max_size=MAX_ATTEMPTS),
)
def test_so_few_runs_fit_whatever_they_are(runs: list[tuple[int, int]], attempts: dict[int, int]) -> None:
    numbers = tuple(number for run in runs for number in run)
    assert CommitNote(numbers, attempts).size <= LIMIT
