"""The lines of `core kafka top`: as many and as wide as the terminal, whatever is shown."""

from __future__ import annotations

import dataclasses

import pytest
from core_messaging_cli.fleet_screen import COLUMNS, Letters, Shown, fitted, number, screen_lines
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from core_messaging.rules.fleet_selection import Selection
from core_messaging.rules.fleet_view import Rates
from core_messaging.rules.letter_groups import Example, LetterGroup
from tests.unit.rules.test_fleet_selection import ROWS, row

HOSTILE = row("\x1b[2J\u202eevil\n" + "\u5b57" * 40, condition="\x07stuck", reasons=("\x1b]0;x\x07",))
GROUP = LetterGroup(
    "dlq", "Mail", "in", "ValueError", 1.0, 2.0, Example(0, 1, "k", "no \x1b[31maddress", None), open=2
)


def shown(**others: object) -> Shown:
    return dataclasses.replace(Shown(title="core kafka top", rows=ROWS), **others)  # type: ignore[arg-type]


def text_of(what: Shown, width: int = 80, height: int = 24) -> str:
    return "\n".join(line.text for line in screen_lines(what, width, height))


@given(
    st.integers(1, 200),
    st.integers(3, 60),
    st.booleans(),
    st.sampled_from([[], ROWS, [*ROWS, HOSTILE]]),
    st.text(max_size=300),
)
def test_there_are_as_many_lines_as_fit_and_none_is_too_wide(
    width: int,
    height: int,
    letters: bool,
    rows: list[object],
    message: str,
) -> None:
    what = shown(rows=rows, message=message, letters=Letters("Mail", [GROUP]) if letters else None)
    lines = screen_lines(what, width, height)
    assert len(lines) == height
    assert {cell_len(line.text) for line in lines} == {width}
    assert all(line.text.isprintable() for line in lines)


def test_80_columns_have_what_a_person_looks_for_and_more_columns_have_all() -> None:
    heading = text_of(shown()).splitlines()[2].split()
    assert heading == ["worker", "condition", "lag", "trend", "out/s", "retries", "dlq", "slowest"]
    assert text_of(shown(), width=160).splitlines()[2].split() == ["worker", *(c.title for c in COLUMNS)]


def test_a_row_shows_its_numbers_and_a_mark_where_it_is_selected() -> None:
    busy = row(
        "Orders",
        lag=1_234,
        rates=Rates(1.0, 30.0, 0.0),
        waiting_retries=7,
        slowest="in[0]@1",
        slowest_seconds=61.0,
    )
    text = text_of(shown(rows=[busy], open_letters={busy.key: 3}))
    (line,) = [each for each in text.splitlines() if each.startswith("> Orders")]
    assert line.split() == [">", "Orders", "running", "1,234", "30", "7", "3", "1min1s"]
    assert "slowest: in[0]@1 for 1 min 1 s" in text


def test_the_selected_row_is_shown_also_where_not_all_fit() -> None:
    many = [row(f"W{number:03}") for number in range(100)]
    text = text_of(shown(rows=many, selection=Selection(selected=many[77].key)))
    assert "> W077" in text
    assert "W000" not in text
    assert "100 workers by name" in text


def test_why_a_condition_is_not_good_and_the_message_are_shown() -> None:
    stuck = row("Mail", condition="stuck", reasons=("it hangs",))
    text = text_of(shown(rows=[stuck], message="paused: group g"))
    assert "it hangs" in text
    assert "paused: group g" in text


@pytest.mark.parametrize("rows", [[], ROWS])
def test_an_empty_view_says_why(rows: list[object]) -> None:
    text = text_of(shown(rows=rows, selection=Selection(filter="zzz")))
    assert ("nothing has this in its name" if rows else "no process has said yet") in text


def test_dead_letters_stand_in_the_place_of_the_workers() -> None:
    text = text_of(shown(letters=Letters("Mail", [GROUP])))
    assert "dead letters of Mail: 2 open" in text
    assert "2 open of 2: ValueError in in" in text
    assert "no \\x1b[31maddress" in text
    assert "Orders" not in text
    assert "Mail has no dead letters" in text_of(shown(letters=Letters("Mail", [])))


def test_a_terminal_without_unicode_gets_a_trend_in_ascii() -> None:
    rising = row("W", trend=(0, 5, 10))
    assert "_+#" in text_of(shown(rows=[rising], unicode=False))
    assert "▁" in text_of(shown(rows=[rising]))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        (0, "0"),
        (0.25, "0.2"),
        (9.5, "9.5"),
        (12.4, "12"),
        (999_999, "999,999"),
        (2_500_000, "2.5M"),
        (1e15, "many"),
    ],
)
def test_a_number_is_short(value: float | None, said: str) -> None:
    assert number(value) == said


@given(st.floats(0, 1e20))
def test_no_number_is_wider_than_its_column(value: float) -> None:
    assert len(number(value)) <= 7


@given(st.text(max_size=60), st.integers(1, 40), st.booleans())
def test_a_text_is_as_wide_as_it_has_to_be(text: str, width: int, right: bool) -> None:
    assert cell_len(fitted(text, width, right=right)) == width
