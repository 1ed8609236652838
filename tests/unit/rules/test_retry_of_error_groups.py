"""What an ExceptionGroup means for the next attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import Reject, RetryAfter
from core_messaging.rules.retry import GiveUp, RetryPolicy, TryAgain, decide, leaves_of, sole, together

POLICY = RetryPolicy(
    backoff="fixed", initial_delay=7.0, retry_on=(OSError, ValueError), give_up_on=(KeyError,)
)
errors = st.sampled_from(
    [Reject("no"), RetryAfter(1.0), RetryAfter(9.0), OSError(), ValueError(), KeyError(), TypeError()]
)
groups = st.recursive(
    errors, lambda inside: st.lists(inside, min_size=1, max_size=3).map(lambda each: ExceptionGroup("", each))
)


@given(error=groups)
def test_a_group_is_decided_by_what_it_holds_however_it_nests(error: Exception) -> None:
    leaves = leaves_of(error)
    decision = decide(error, 1, 3, POLICY)
    asked = [leaf.seconds for leaf in leaves if isinstance(leaf, RetryAfter)]
    if any(isinstance(leaf, Reject) for leaf in leaves):
        assert decision == GiveUp("rejected")
    elif any(isinstance(leaf, KeyError) for leaf in leaves):
        assert isinstance(decision, GiveUp)
    elif asked:
        assert decision == TryAgain(max(asked))
    elif any(isinstance(leaf, TypeError) for leaf in leaves):
        assert isinstance(decision, GiveUp)
    else:
        assert decision == TryAgain(7.0)


@given(error=groups)
def test_a_group_of_one_stands_for_what_it_holds(error: Exception) -> None:
    assert (sole(error) is error) == (len(leaves_of(error)) > 1 or not isinstance(error, ExceptionGroup))


@given(delays=st.dictionaries(st.integers(0, 20), st.floats(0, 100)), lanes=st.integers(1, 4))
def test_what_fails_together_of_one_lane_waits_for_the_longest_delay_and_nobody_for_less(
    delays: dict[int, float], lanes: int
) -> None:
    def lane_of(index: int) -> int | None:
        return index % lanes or None

    waits = together(delays, lane_of)
    assert waits.keys() == delays.keys()
    for index, seconds in waits.items():
        mine = [delays[i] for i in delays if lane_of(i) == lane_of(index)]
        assert seconds == (delays[index] if lane_of(index) is None else max(mine))
