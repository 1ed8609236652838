"""The lag of a group, its rates, and when it catches up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import TopicPartition
from core_messaging.rules.group_progress import Progress
from core_messaging.rules.lag import LagSample, group_lag

FIRST, SECOND = TopicPartition("orders", 0), TopicPartition("orders", 1)


def progress(
    source: TopicPartition, committed: int, end: int, beyond: int = 0, attempts: dict[int, int] | None = None
) -> Progress:
    return Progress(source, committed, end, end - committed, finished_beyond=beyond, attempts=attempts or {})


def test_what_is_finished_or_waits_for_a_retry_is_no_useful_lag() -> None:
    partitions = [progress(FIRST, 10, 30, beyond=5, attempts={10: 3, 11: 1}), progress(SECOND, 0, 2)]
    found = group_lag(LagSample(100.0, partitions, {FIRST: 40.0, SECOND: 70.0}))
    assert (found.lag, found.useful_lag, found.committed, found.end) == (22, 16, 10, 32)
    assert found.behind == 60.0  # the oldest of both
    assert (found.rate_in, found.rate_out, found.catch_up) == (None, None, None)


def test_rates_are_what_was_added_and_what_was_finished_since_the_earlier_look() -> None:
    earlier = LagSample(100.0, [progress(FIRST, 0, 100)], {})
    later = LagSample(110.0, [progress(FIRST, 50, 120, beyond=30)], {})
    found = group_lag(later, earlier)
    assert found.rate_in == 2.0
    assert found.rate_out == 8.0  # 50 by the commit and 30 beyond it
    assert found.catch_up == pytest.approx(70 / 6)


def test_a_partition_that_is_added_meanwhile_is_no_burst() -> None:
    earlier = LagSample(0.0, [progress(FIRST, 0, 10)], {})
    later = LagSample(1.0, [progress(FIRST, 0, 10), progress(SECOND, 0, 1_000_000)], {})
    assert group_lag(later, earlier).rate_in == 0.0


def test_a_group_that_does_not_get_closer_never_catches_up() -> None:
    earlier = LagSample(0.0, [progress(FIRST, 0, 10)], {})
    assert group_lag(LagSample(1.0, [progress(FIRST, 5, 20)], {}), earlier).catch_up is None


def test_without_a_lag_nothing_is_behind() -> None:
    found = group_lag(LagSample(5.0, [progress(FIRST, 7, 7)], {}))
    assert (found.lag, found.behind, found.catch_up) == (0, 0.0, 0.0)


def test_without_a_commit_and_without_timestamps_nobody_knows() -> None:
    found = group_lag(LagSample(5.0, [Progress(FIRST, None, 7, 7)], {}))
    assert (found.committed, found.behind) == (None, None)


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=5,
    ),
    st.floats(0.1, 100),
)
def test_whatever_happens_between_two_looks_the_lag_follows_from_the_rates(
    changes: list[tuple[int, int, int, int]], seconds: float
) -> None:
    sources = [TopicPartition("orders", number) for number in range(len(changes))]
    earlier, later = [], []
    for source, (start, backlog, added, wanted) in zip(sources, changes, strict=True):
        finished = min(wanted, backlog + added)
        earlier.append(progress(source, start, start + backlog))
        later.append(progress(source, start + finished, start + backlog + added))
    before, now = LagSample(0.0, earlier, {}), LagSample(seconds, later, {})
    found = group_lag(now, before)
    assert found.rate_in is not None
    assert found.rate_out is not None
    grown = (found.rate_in - found.rate_out) * seconds
    assert found.lag == pytest.approx(group_lag(before).lag + grown, abs=1e-6)
