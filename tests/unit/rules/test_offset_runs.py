"""Which records of several fetches are finished, as runs of offsets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.offset_runs import offsets_of, runs_beyond
from tests.unit.rules.records import PlainRecord


@dataclass
class Fetch:
    """Records of one fetch: their offsets, and whether each is finished."""

    offsets: list[int]
    done: bytearray


@st.composite
def fetches(draw: st.DrawFn) -> list[Fetch]:
    """Fetches of one partition in their order, with gaps in the offsets."""
    sizes = draw(st.lists(st.integers(1, 6), max_size=5))
    made, offset = [], 0
    for size in sizes:
        offsets = []
        for gap in draw(st.lists(st.integers(1, 3), min_size=size, max_size=size)):
            offset += gap
            offsets.append(offset)
        done = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        made.append(Fetch(offsets, bytearray(done)))
    return made


@given(fetches())
def test_runs_cover_what_is_finished_after_the_first_unfinished_record_and_nothing_else(
    made: list[Fetch],
) -> None:
    facts = [fact for fetch in made for fact in zip(fetch.offsets, fetch.done, strict=True)]
    unfinished = [offset for offset, done in facts if not done]
    expected = {offset for offset, done in facts if done and unfinished and offset > unfinished[0]}
    runs = list(runs_beyond(made))
    assert {offset for offset, _ in facts if any(first <= offset <= last for first, last in runs)} == expected
    # As few as there can be: between two runs there is an unfinished record.
    for (_, last), (first, _) in pairwise(runs):
        assert any(last < offset < first for offset in unfinished)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=30))
def test_offsets_are_those_of_the_records_and_a_range_where_there_is_no_gap(gaps: list[int]) -> None:
    offsets = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    found = offsets_of([PlainRecord(offset) for offset in offsets])
    assert list(found) == offsets
    assert isinstance(found, range) == all(gap == 1 for gap in gaps[1:])
