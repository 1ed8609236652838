"""Where offsets are moved by hand, and what the commit says afterwards."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import ConfigurationError
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.blocked_keys import BlockedKeys
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.rules.group_progress import PartitionOffsets, progress_of
from core_messaging.rules.offset_reset_plan import ResetTarget, parse_target, plan_reset

SOURCE = TopicPartition("orders", 0)


def blocked(*keys: bytes) -> bytes:
    found = BlockedKeys()
    for key in keys:
        found.add(key)
    return found.packed()


def standing(committed: int | None, begin: int = 10, end: int = 100) -> PartitionOffsets:
    if committed is None:
        return PartitionOffsets(SOURCE, begin, end, None)
    note = CommitNote.of(
        committed, [(committed + 2, committed + 4)], {committed: 3}, Ownership(), blocked(b"ada")
    )
    return PartitionOffsets(SOURCE, begin, end, Committed(committed, note.encode()))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("earliest", ResetTarget(edge="earliest")),
        ("latest", ResetTarget(edge="latest")),
        ("1200", ResetTarget(offset=1200)),
        ("-50", ResetTarget(back=50)),
        ("2026-01-31T12:00:00+00:00", ResetTarget(time=datetime(2026, 1, 31, 12, tzinfo=UTC))),
    ],
)
def test_a_place_is_read_as_it_is_written(text: str, target: ResetTarget) -> None:
    assert parse_target(text) == target


def test_a_time_without_a_zone_is_local() -> None:
    found = parse_target("2026-01-31T12:00:00").time
    assert found is not None
    assert found.utcoffset() is not None
    assert found.replace(tzinfo=None) == datetime(2026, 1, 31, 12)  # noqa: DTZ001 - that is what is tested


@pytest.mark.parametrize("text", ["", "newest", "--5", "1.5", "yesterday", "²", "2026-13-01"])
def test_what_is_no_place_is_told_with_examples(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write earliest, latest, an offset"):
        parse_target(text)


@pytest.mark.parametrize("year", ["0001-01-01T00:00", "9999-12-31T23:59"])
def test_the_first_and_the_last_year_are_a_time_or_told(year: str) -> None:
    try:
        assert parse_target(year).time is not None
    except ConfigurationError as error:
        assert "is no place in a topic" in str(error)  # noqa: PT017 - which of both depends on the local zone


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (ResetTarget(edge="earliest"), 10),
        (ResetTarget(edge="latest"), 100),
        (ResetTarget(offset=60), 60),
        (ResetTarget(offset=3), 10),  # not there any more
        (ResetTarget(offset=300), 100),  # not there yet
        (ResetTarget(back=20), 80),
        (ResetTarget(back=2_000), 10),
        (ResetTarget(time=datetime(2026, 1, 1, tzinfo=UTC)), 42),
    ],
)
def test_each_target_has_its_place_in_the_partition(target: ResetTarget, place: int) -> None:
    (reset,) = plan_reset([standing(50)], target, {SOURCE: 42})
    assert (reset.before, reset.after.offset) == (50, place)
    assert (reset.again, reset.passed) == (max(0, 50 - place), max(0, place - 50))


def test_a_time_after_the_last_record_is_the_end() -> None:
    (reset,) = plan_reset([standing(50)], ResetTarget(time=datetime(2030, 1, 1, tzinfo=UTC)), {})
    assert reset.after.offset == 100


@given(st.none() | st.integers(0, 120), st.integers(0, 120))
def test_after_a_reset_nothing_is_finished_or_tried_and_blocked_keys_stay(
    committed: int | None, wanted: int
) -> None:
    (reset,) = plan_reset([standing(committed)], ResetTarget(offset=wanted), {})
    assert 10 <= reset.after.offset <= 100
    progress = progress_of(PartitionOffsets(SOURCE, 10, 100, reset.after))
    assert (progress.finished_beyond, progress.gaps, dict(progress.attempts), progress.crashes) == (
        0,
        (),
        {},
        0,
    )
    assert progress.blocked == (0 if committed is None else 1)
    assert progress.lag == 100 - reset.after.offset
    assert 0 in (reset.again, reset.passed)
