"""Work that waits until a time: the first due first, and in the order of arrival where times are equal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.retry_queue import RetryQueue

DUES = st.lists(st.integers(0, 5).map(float), max_size=30)


def filled(dues: list[float]) -> RetryQueue[int]:
    """One piece of work for each of *dues*, numbered in the order of arrival."""
    queue: RetryQueue[int] = RetryQueue()
    for number, due in enumerate(dues):
        queue.push(number, due)
    return queue


@given(DUES, st.integers(0, 5))
def test_what_is_due_comes_out_in_the_order_of_its_time_and_then_of_its_arrival(
    dues: list[float], now: int
) -> None:
    queue = filled(dues)
    assert list(queue.pop_due(now)) == sorted(
        (number for number, due in enumerate(dues) if due <= now), key=lambda number: dues[number]
    )
    later = [due for due in dues if due > now]
    assert (len(queue), queue.next_due) == (len(later), min(later, default=None))


@given(DUES, st.sets(st.integers(0, 30)))
def test_what_is_removed_is_returned_with_its_time_and_the_rest_waits_on(
    dues: list[float], removed: set[int]
) -> None:
    queue = filled(dues)
    found = queue.remove(lambda number: number in removed)
    assert sorted(found) == [(number, due) for number, due in enumerate(dues) if number in removed]
    left = [number for number in range(len(dues)) if number not in removed]
    assert sorted(queue.pop_due(9.0)) == left


@given(DUES, st.integers(0, 10))
def test_the_longest_waiting_go_first_where_room_is_made(dues: list[float], most: int) -> None:
    queue = filled(dues)
    even = [number for number in range(len(dues)) if number % 2 == 0]
    assert queue.remove_longest_waiting(lambda number: number % 2 == 0, most) == even[:most]
    assert len(queue) == len(dues) - len(even[:most])


@given(DUES, st.sets(st.integers(0, 30)), st.integers(0, 5))
def test_what_is_hastened_is_due_at_once_and_nothing_gets_later(
    dues: list[float], meant: set[int], now: int
) -> None:
    queue = filled(dues)
    hastened = queue.hasten(lambda number: number in meant, now)
    assert sorted(hastened) == [number for number, due in enumerate(dues) if number in meant and due > now]
    assert len(queue) == len(dues)
    at_once = [number for number, due in enumerate(dues) if due <= now or number in meant]
    assert sorted(queue.pop_due(now)) == at_once
