"""When a process that died is started again, and when it is given up."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.runtime.restart_policy import BACKOFF, TRIES, Restarts, shell_code

SOON = 10.0

LIVES = st.lists(st.floats(0, 3 * SOON), max_size=30)


def after(lives: list[float]) -> Restarts:
    restarts = Restarts(SOON)
    for lived in lives:
        restarts = restarts.after(lived)
    return restarts


@given(LIVES)
def test_it_is_hopeless_exactly_after_so_many_early_deaths_in_a_row(lives: list[float]) -> None:
    early = 0
    for lived in reversed(lives):
        if lived >= SOON:
            early += 1  # the death that ended a long life counts as the first one
            break
        early += 1
    assert after(lives).hopeless == (early >= TRIES)


@given(LIVES.filter(bool))
def test_the_wait_grows_with_early_deaths_and_is_short_after_a_long_life(lives: list[float]) -> None:
    assert 0 < after(lives).delay <= BACKOFF.max_delay
    assert after([*lives, SOON]).delay == after([0.0]).delay <= after([0.0, 0.0]).delay


def test_exit_codes_are_those_of_a_shell() -> None:
    assert [shell_code(code) for code in (0, 1, -signal.SIGKILL)] == [0, 1, 137]
