"""When one more dead letter is too many."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import ConfigurationError
from core_messaging.options import DlqLimit
from core_messaging.rules.dead_letter_limit import DeadLetterLimit

WINDOW = 60.0
# What is settled, and after how many seconds: True succeeded, False failed for good.
HISTORIES = st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=80)


class Run:
    """A limit over *history*, sampled as the engine does. ``allowed``: when each dead letter was allowed."""

    def __init__(self, limit: DlqLimit, history: list[tuple[float, bool]]) -> None:
        self.rule = DeadLetterLimit(limit, 0.0, 0)
        self.now, self.next_sample = 0.0, self.rule.sampled_every
        self.succeeded: list[float] = []
        self.allowed: list[float] = []
        self.why = ""
        for seconds, succeeds in history:
            self.wait(seconds)
            if succeeds:
                self.succeeded.append(self.now)
            elif why := self.rule.why_too_many(self.now, len(self.succeeded)):
                self.why = why
                return
            else:
                self.allowed.append(self.now)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.next_sample <= until:
            self.now = self.next_sample
            self.rule.sample(self.now, len(self.succeeded))
            self.next_sample += self.rule.sampled_every
        self.now = until


def within(times: list[float], now: float, seconds: float) -> int:
    return sum(1 for at in times if now - seconds < at <= now)


@given(HISTORIES, st.integers(0, 5))
def test_so_many_in_a_row_are_allowed_and_no_more(history: list[tuple[float, bool]], most: int) -> None:
    run = Run(DlqLimit(consecutive=most), history)
    rows = [
        len(list(row)) for succeeds, row in itertools.groupby(history, lambda each: each[1]) if not succeeds
    ]
    assert bool(run.why) is any(row > most for row in rows)


@given(HISTORIES, st.integers(0, 5))
def test_a_pause_by_the_count_has_that_many_in_the_window(
    history: list[tuple[float, bool]], count: int
) -> None:
    run = Run(DlqLimit(count=count, window=WINDOW), history)
    longest = WINDOW + 2 * run.rule.sampled_every
    if run.why:
        assert within(run.allowed, run.now, longest) + 1 > count
    for at in run.allowed:  # each of these was allowed: there were not too many at that time
        assert within(run.allowed, at, WINDOW) <= count


@given(HISTORIES, st.integers(0, 5), st.floats(0.01, 0.9))
def test_more_are_allowed_as_long_as_their_share_is_small(
    history: list[tuple[float, bool]], count: int, share: float
) -> None:
    run = Run(DlqLimit(count=count, share=share, window=WINDOW), history)
    longest = WINDOW + 2 * run.rule.sampled_every
    if run.why:
        failed = within(run.allowed, run.now, longest) + 1
        assert failed > count
        assert failed > share * (failed + within(run.succeeded, run.now, WINDOW - 1e-6))
    if not run.succeeded:
        assert not any(within(run.allowed, at, WINDOW) > count for at in run.allowed)


def test_a_good_hour_before_does_not_hide_a_failure_that_begins_now() -> None:
    # Counted from the last dead letter, an hour of successes would make the share of a hundred failures small.
    run = Run(DlqLimit(count=10, share=0.5, window=WINDOW), [(0.5, True)] * 7_200 + [(40.0, True)])
    run.wait(70.0)
    whys = [run.rule.why_too_many(run.now, len(run.succeeded)) for _ in range(11)]
    assert whys[:10] == [""] * 10
    assert whys[10] == (
        "11 of the last 11 messages (about 1 min 0 s) failed for good, and count = 10, share = 0.5 allows no more"
    )


def test_after_a_pause_counting_begins_anew() -> None:
    rule = DeadLetterLimit(DlqLimit(consecutive=1, count=1), 0.0, 0)
    assert not rule.why_too_many(1.0, 0)
    assert (
        rule.why_too_many(1.0, 0) == "2 messages in a row failed for good, and consecutive = 1 allows no more"
    )
    rule.begin_anew(2.0, 0)
    assert not rule.why_too_many(2.0, 0)


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({}, "limits nothing"),
        ({"consecutive": -1}, "whole number"),
        ({"consecutive": True}, "whole number"),
        ({"count": 1.5}, "whole number"),
        ({"consecutive": 5, "share": 0.5}, "without a count"),
        ({"count": 10, "share": 1.0}, "below 1"),
        ({"count": 10, "window": 0}, "more than 0"),
        ({"count": 10, "window": float("inf")}, "more than 0"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(given_: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        DlqLimit(**given_)  # type: ignore[arg-type]
