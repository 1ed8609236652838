"""Which rows the live view shows, in which order, and which one is selected."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.fleet_selection import LONGEST_FILTER, MOVES, ORDERS, Selection, keys_in
from core_messaging.rules.fleet_view import Rates, Row


def row(name: str, **others: object) -> Row:
    plain = Row(
        name=name,
        group=f"group-{name}",
        condition="running",
        reasons=(),
        processes=("web:1",),
        partitions=1,
        paused=0,
        lag=0,
        useful_lag=0,
        running=0,
        waiting_retries=0,
        dead_lettered=0,
        slowest="",
        slowest_seconds=0.0,
    )
    return dataclasses.replace(plain, **others)  # type: ignore[arg-type]


ROWS = [
    row("Mail", lag=5, condition="stuck", slowest_seconds=9.0),
    row("Orders", lag=None, waiting_retries=4, rates=Rates(1.0, 2.0, 3.0)),
    row("Bills", lag=7, processes=("db:2",)),
]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("name", ["Bills", "Mail", "Orders"]),
        ("lag", ["Bills", "Mail", "Orders"]),
        ("condition", ["Mail", "Bills", "Orders"]),
        ("rate", ["Orders", "Bills", "Mail"]),
        ("retries", ["Orders", "Bills", "Mail"]),
        ("slowest", ["Mail", "Bills", "Orders"]),
    ],
)
def test_rows_are_sorted(order: str, names: list[str]) -> None:
    assert [each.name for each in Selection(order=order).shown(ROWS)] == names


def test_a_key_goes_through_all_orders() -> None:
    selection = Selection()
    seen = []
    for _ in ORDERS:
        seen.append(selection.order)
        selection = selection.pressed("s", ROWS)
    assert seen == list(ORDERS)
    assert selection == Selection()


@pytest.mark.parametrize(
    ("text", "names"), [("mail", ["Mail"]), ("STUCK", ["Mail"]), ("db:", ["Bills"]), ("group-o", ["Orders"])]
)
def test_a_filter_looks_at_name_group_condition_and_processes(text: str, names: list[str]) -> None:
    selection = Selection()
    for key in ["/", *text, "enter"]:
        selection = selection.pressed(key, ROWS)
    assert [each.name for each in selection.shown(ROWS)] == names
    assert selection.pressed("escape", ROWS).filter == ""


def test_keys_that_act_are_letters_while_a_filter_is_typed() -> None:
    selection = Selection(typing=True)
    for key in ["s", "q", "k", "backspace"]:
        selection = selection.pressed(key, ROWS)
    assert (selection.filter, selection.typing, selection.order) == ("sq", True, "name")
    assert selection.pressed("escape", ROWS) == Selection()


def test_the_selection_stays_on_its_row_when_others_come_and_go() -> None:
    selection = Selection().pressed("down", ROWS)  # Mail
    assert selection.current(ROWS) == ROWS[0]
    assert selection.current([row("Aaa"), *ROWS]) == ROWS[0]
    left = selection.current(ROWS[1:])
    assert left is not None
    assert left.name == "Bills"  # Mail is gone: the first
    assert selection.current([]) is None


@given(st.lists(st.sampled_from([*MOVES, "s", "x", "enter"]), max_size=30), st.integers(0, 3))
def test_whatever_is_pressed_one_of_the_rows_is_selected(keys: list[str], count: int) -> None:
    selection, rows = Selection(), ROWS[:count]
    for key in keys:
        selection = selection.pressed(key, rows)
    current = selection.current(rows)
    assert current in rows if rows else current is None


@given(st.text(max_size=200))
def test_a_filter_has_a_bounded_length(text: str) -> None:
    selection = Selection(typing=True)
    for key in keys_in(text.replace("\x1b", "")):
        selection = selection.pressed(key, ROWS)
    assert len(selection.filter) <= LONGEST_FILTER


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("ps", ["p", "s"]),
        ("\x1b[A\x1bOB", ["up", "down"]),
        ("\x1b[5~\x1b[F", ["page up", "end"]),
        ("\x1b", ["escape"]),
        ("\x1b[1;5Cq", ["q"]),  # Ctrl and an arrow
        ("a\x7f\r", ["a", "backspace", "enter"]),
        ("\x01\x02", []),
    ],
)
def test_what_a_terminal_sends_becomes_keys(sent: str, keys: list[str]) -> None:
    assert keys_in(sent) == keys


@given(st.text(max_size=50))
def test_whatever_a_terminal_sends_is_read_to_its_end(sent: str) -> None:
    assert len(keys_in(sent)) <= len(sent)
