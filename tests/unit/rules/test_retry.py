from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import ConfigurationError, Reject, RetryAfter, Undecodable
from core_messaging.options import Backoff
from core_messaging.rules.retry import BACKOFFS, GiveUp, RetryPolicy, TryAgain, decide


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("fixed", [1.5, 1.5, 1.5, 1.5]),
        ("linear", [1.5, 3.0, 4.5, 6.0]),
        ("exponential", [3.0, 6.0, 12.0, 24.0]),
    ],
)
def test_the_three_backoff_formulas(backoff: Backoff, delays: list[float]) -> None:
    policy = RetryPolicy(backoff=backoff, initial_delay=1.5)
    assert [policy.delay(retry) for retry in (1, 2, 3, 4)] == delays


def test_max_delay_caps_every_formula_however_late_the_retry() -> None:
    # 2.0 ** 1024 raises OverflowError; a message that is retried for months must not end in a traceback.
    for backoff in ("linear", "exponential"):
        assert RetryPolicy(backoff=backoff, max_delay=300.0).delay(100_000) == 300.0


@given(
    backoff=st.sampled_from(BACKOFFS),
    initial=st.floats(0, 1e6),
    cap=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    retry=st.integers(1, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_jitter_only_shortens_and_never_below_zero(
    backoff: Backoff, initial: float, cap: float, jitter: float, retry: int, chance: float
) -> None:
    policy = RetryPolicy(backoff=backoff, initial_delay=initial, max_delay=cap, jitter=jitter)
    assert 0 <= policy.delay(retry, chance) <= policy.delay(retry) <= cap


@given(max_retries=st.integers(0, 20))
def test_a_message_is_tried_once_and_then_max_retries_times(max_retries: int) -> None:
    policy = RetryPolicy()
    decisions = [decide(ValueError(), attempt, max_retries, policy) for attempt in range(1, max_retries + 2)]
    assert all(isinstance(decision, TryAgain) for decision in decisions[:-1])
    assert decisions[-1] == GiveUp("retries exhausted")


def test_reject_and_undecodable_are_never_retried() -> None:
    for error in (Reject("no such account"), Undecodable("not JSON")):
        assert isinstance(decide(error, 1, 10, RetryPolicy()), GiveUp)


def test_retry_after_sets_the_delay_and_still_counts_as_a_retry() -> None:
    assert decide(RetryAfter(42.0), 1, 1, RetryPolicy()) == TryAgain(42.0)
    assert isinstance(decide(RetryAfter(42.0), 2, 1, RetryPolicy()), GiveUp)


def test_retry_on_and_give_up_on_choose_by_type_and_give_up_wins() -> None:
    policy = RetryPolicy(retry_on=(OSError,), give_up_on=(ConnectionRefusedError,))
    assert isinstance(decide(TimeoutError(), 1, 3, policy), TryAgain)
    assert isinstance(decide(ConnectionRefusedError(), 1, 3, policy), GiveUp)
    assert isinstance(decide(ValueError(), 1, 3, policy), GiveUp)


@pytest.mark.parametrize(
    "options",
    [
        {"backoff": "cubic"},
        {"initial_delay": -1.0},
        {"max_delay": -1.0},
        {"jitter": 1.5},
        {"max_retries": -1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        RetryPolicy(**options)  # type: ignore[arg-type] # wrong on purpose


def test_retry_after_a_negative_time_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        RetryAfter(-1)
