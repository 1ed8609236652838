"""The records of one fetch: what is taken, what is finished, what stays in memory."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.chunk import Chunk, folded
from tests.unit.rules.records import PlainRecord


def chunk_of(first: int, done: list[bool]) -> Chunk:
    chunk = Chunk([PlainRecord(first + n) for n in range(len(done))])
    for index, is_done in enumerate(done):
        if is_done:
            chunk.finish(index)
    return chunk


@given(st.integers(1, 20), st.lists(st.integers(0, 6), max_size=8))
def test_each_record_is_taken_once_and_in_order(size: int, counts: list[int]) -> None:
    chunk = chunk_of(0, [False] * size)
    taken = [index for count in counts for index, _ in chunk.take(count)]
    assert taken == list(range(min(size, sum(counts))))
    assert chunk.untaken == size - len(taken)
    assert [record.offset for record in chunk.untaken_records()] == list(range(len(taken), size))


def test_the_first_unfinished_record_is_found_and_none_where_all_are_finished() -> None:
    one, none = chunk_of(0, [True, False, False]), chunk_of(0, [True, True])
    assert (one.first_unfinished, one.unfinished) == (1, 2)
    assert (none.first_unfinished, none.unfinished) == (None, 0)


def test_a_record_that_a_job_holds_is_not_taken_and_not_finished() -> None:
    chunk = chunk_of(0, [False, False])
    chunk.hand_over(0)
    assert [record.offset for record in chunk.untaken_records()] == [1]
    assert chunk.unfinished == 2


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=4), max_size=8))
def test_finished_fetches_side_by_side_become_one_and_no_unfinished_one_is_touched(
    fetches: list[list[bool]],
) -> None:
    chunks = [chunk_of(10 * number, done) for number, done in enumerate(fetches)]
    unfinished = [chunk for chunk in chunks if chunk.unfinished]
    ends = [(chunk.offsets[0], chunk.offsets[-1]) for chunk in chunks]
    kept = list(folded(chunks))
    assert [chunk for chunk in kept if chunk.unfinished] == unfinished
    assert all(one.unfinished or other.unfinished for one, other in pairwise(kept))
    assert {(c.offsets[0], c.offsets[-1]) for c in kept if c.unfinished} <= set(ends)
    if kept:
        assert (kept[0].offsets[0], kept[-1].offsets[-1]) == (ends[0][0], ends[-1][1])
