"""Running, rebalancing, draining, blocked and stuck are told apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.condition import AtHand, Facts, Standstill, judge
from core_messaging.snapshot import Condition

WELL: dict[str, Any] = {
    "draining": False,
    "joined": True,
    "silent_for": None,
    "outage": "the broker has not answered",
    "rebalancing_for": None,
    "longest_running": 0.0,
    "longest_job": "t[0]@1",
    "attempt_limit": 300.0,
    "long_attempt": 300.0,
    "unfinished": 10,
    "waiting_for": 0.0,
    "waiting_limit": 60.0,
    "running": 2,
    "behind": 0,
    "idle_for": 0.0,
    "full": False,
}


@pytest.mark.parametrize(
    ("changes", "condition", "says"),
    [
        ({}, Condition.RUNNING, ""),
        ({"joined": False, "rebalancing_for": 5.0}, Condition.STARTING, "not assigned"),
        ({"rebalancing_for": 5.0}, Condition.REBALANCING, "for 5 s"),
        ({"rebalancing_for": 500.0}, Condition.STUCK, "rebalancing for 500 s"),
        ({"silent_for": 12.0}, Condition.DEGRADED, "the broker has not answered for 12 s"),
        # A restart would not bring the broker back.
        ({"silent_for": 500.0, "rebalancing_for": 500.0}, Condition.DEGRADED, "500 s"),
        ({"silent_for": 12.0, "longest_running": 301.0}, Condition.STUCK, "runs for 301 s"),
        ({"silent_for": 12.0, "draining": True}, Condition.DRAINING, ""),
        ({"draining": True}, Condition.DRAINING, "2 messages are running"),
        ({"draining": True, "longest_running": 301.0}, Condition.STUCK, "t[0]@1 runs for 301 s"),
        ({"longest_running": 301.0}, Condition.STUCK, "t[0]@1 runs for 301 s"),
        (
            {"waiting_for": 61.0},
            Condition.BLOCKED,
            "all 10 messages at hand have waited for a retry, or behind one, for 61 s",
        ),
        ({"waiting_for": 60.0}, Condition.RUNNING, ""),
        # Nobody has said how long an attempt may take: a restart would begin it once more, and again.
        (
            {"longest_running": 9999.0, "attempt_limit": None},
            Condition.RUNNING,
            "t[0]@1 runs for 9999 s; the worker has no",
        ),
        ({"longest_running": 299.0, "attempt_limit": None}, Condition.RUNNING, ""),
        ({"behind": 5, "idle_for": 61.0}, Condition.STUCK, "5 records to fetch and none came for 61 s"),
        ({"behind": 5, "idle_for": 61.0, "full": True}, Condition.RUNNING, ""),
        ({"behind": 0, "idle_for": 9999.0}, Condition.RUNNING, ""),
        (
            {"paused": "paused by ann", "unfinished": 0, "behind": 5, "idle_for": 9999.0, "full": True},
            Condition.PAUSED,
            "by ann",
        ),
        ({"paused": "paused by ann", "unfinished": 3}, Condition.RUNNING, ""),  # it finishes what it has
    ],
)
def test_what_the_facts_mean(changes: dict[str, Any], condition: Condition, says: str) -> None:
    found, reason = judge(Facts(**(WELL | changes)))
    assert found is condition
    assert says in reason
    assert bool(says or condition is Condition.DRAINING) == bool(reason)


LOOKS = st.lists(st.tuples(st.floats(0.1, 100.0), st.sampled_from(AtHand), st.integers(0, 1)), max_size=30)


@given(LOOKS)
def test_only_time_counts_in_which_there_was_nothing_to_do_since_a_message_was_finished(
    looks: list[tuple[float, AtHand, int]],
) -> None:
    standstill, now, done, expected, before = Standstill(), 0.0, 0, 0.0, AtHand.WORK
    for seconds, at_hand, finished in looks:
        now, done = now + seconds, done + finished
        expected = 0.0 if finished or at_hand is AtHand.WORK else expected + seconds * (before is AtHand.WAIT)
        before = at_hand
        assert standstill.seconds(now, at_hand, done) == pytest.approx(expected)
