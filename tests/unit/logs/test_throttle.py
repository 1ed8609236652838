"""Every event is told: by a line of its own, in the count of the next one, or in what is told once it is quiet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.logs.throttle import OTHERS, Throttle

STEPS = st.lists(st.tuples(st.integers(0, 5), st.floats(0.0, 20.0), st.booleans()), max_size=60)


@given(STEPS, st.integers(1, 4))
def test_each_event_is_told_once_and_none_is_lost(steps: list[tuple[int, float, bool]], kinds: int) -> None:
    throttle, now, told = Throttle(10.0, kinds=kinds), 0.0, 0
    for kind, seconds, look in steps:
        now += seconds
        if (held_back := throttle.pass_through(kind, now)) is not None:
            told += 1 + held_back
        if look:
            told += sum(count for _, count in throttle.overdue(now))
    told += sum(count for _, count in throttle.overdue(None))
    assert told == len(steps)
    assert not throttle.holds_back
    assert throttle.overdue(None) == []


def test_what_is_held_back_is_told_when_its_interval_is_over_and_at_once_at_the_end() -> None:
    throttle = Throttle(10.0)
    for at in (0.0, 1.0, 2.0):
        throttle.pass_through("a", at)
    throttle.pass_through("b", 5.0)
    throttle.pass_through("b", 6.0)
    assert throttle.overdue(9.9) == []
    assert throttle.overdue(10.0) == [("a", 2)]
    assert throttle.overdue(None) == [("b", 1)]


def test_kinds_that_there_is_no_room_for_are_counted_together() -> None:
    throttle = Throttle(10.0, kinds=1)
    for kind in ("a", "a", "b"):
        throttle.pass_through(kind, 0.0)
    assert throttle.overdue(0.0) == [(OTHERS, 1)]


def test_one_line_a_kind_and_the_others_are_counted() -> None:
    throttle = Throttle(10.0)
    assert throttle.pass_through("a", 0.0) == 0
    assert throttle.pass_through("a", 5.0) is None
    assert throttle.pass_through("b", 5.0) == 0
    assert throttle.pass_through("a", 9.9) is None
    assert throttle.pass_through("a", 10.0) == 2


def test_kinds_that_never_repeat_do_not_grow_memory() -> None:
    throttle = Throttle(10.0, kinds=8)
    for number in range(1000):
        assert throttle.pass_through(number, 0.0) == 0
    assert len(throttle._last) <= 8
