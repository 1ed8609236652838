"""Where a group starts in what it has no commit of, and how many messages it is told to have missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.rules.start_position import (
    began_with,
    beginning_of,
    gone_text,
    reset_of,
    unread,
    what_is_gone,
)

NAMES = st.text("abc", min_size=1, max_size=3)
COUNTS = st.dictionaries(NAMES, st.integers(1, 5), min_size=1, max_size=4)


@given(COUNTS, NAMES, st.integers(0, 9))
def test_only_partitions_that_the_group_began_with_are_read_from_their_end(
    counts: dict[str, int], topic: str, number: int
) -> None:
    note = CommitNote.of(5, (), {}, Ownership(), began=began_with(counts))
    began = beginning_of([None, Committed(5, note.encode())])
    reset = reset_of(TopicPartition(topic, number), has_commits=True, began=began)
    assert reset == ("latest" if number < counts.get(topic, 0) else "earliest")


@given(COUNTS, NAMES, st.integers(0, 9))
def test_a_group_without_any_commit_begins_at_the_end(
    counts: dict[str, int], topic: str, number: int
) -> None:
    source = TopicPartition(topic, number)
    assert reset_of(source, has_commits=False, began=began_with(counts)) == "latest"


def test_what_a_group_of_an_older_version_has_not_committed_is_read_from_its_beginning() -> None:
    assert beginning_of([Committed(9, ""), Committed(3, "somebody else's")]) == {}
    assert reset_of(TopicPartition("t", 0), has_commits=True, began={}) == "earliest"


@given(
    st.integers(0, 40),
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=8),
)
def test_what_was_finished_is_not_counted_as_missed(
    first: int, size: int, gaps: list[tuple[int, int]]
) -> None:
    runs, at = [], 0
    for gap, length in gaps:
        runs.append((at + gap, at + gap + length - 1))
        at += gap + length
    finished = {offset for start, end in runs for offset in range(start, end + 1)}
    assert unread(first, first + size - 1, runs) == len(set(range(first, first + size)) - finished)


def test_the_line_tells_how_many_are_gone_and_where_reading_goes_on() -> None:
    text = gone_text(TopicPartition("t", 3), 10, 50, 100, [(12, 13)])
    assert "t[3]: 38 messages" in text
    assert "offsets 10 to 49" in text
    assert "Reading goes on at offset 50" in text
    assert text.startswith(what_is_gone(TopicPartition("t", 3), 10, 50, 100, [(12, 13)]))
    beyond = gone_text(TopicPartition("t", 3), 10, 0, 4, [])
    assert "at offset 10, and the partition ends at 4" in beyond
