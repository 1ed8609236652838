"""A plugin that fails repeatedly is left out for a while; then one call decides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.plugins.circuit_breaker import Breaker


def test_while_the_call_that_decides_is_under_way_no_other_one_is_made() -> None:
    breaker = Breaker(threshold=1, cooldown=60.0)
    breaker.failed(0.0)
    assert [breaker.allows(now) for now in (59.0, 60.0, 60.0, 61.0)] == [False, True, False, False]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=200))
def test_an_open_breaker_lets_one_call_a_cooldown_through(steps: list[tuple[bool, float]]) -> None:
    breaker, now, in_a_row, last_let_through = Breaker(threshold=3, cooldown=60.0), 0.0, 0, None
    for succeeds, seconds in steps:
        now += seconds
        was_open = breaker.is_open
        allowed = breaker.allows(now)
        assert allowed or was_open
        if not allowed:
            continue
        if was_open and last_let_through is not None:
            assert now - last_let_through >= 60.0
        if succeeds:
            breaker.succeeded()
            in_a_row = 0
        else:
            breaker.failed(now)
            in_a_row += 1
        assert breaker.is_open == (in_a_row >= 3)
        last_let_through = now if breaker.is_open else None
