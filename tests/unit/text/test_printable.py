"""Texts of strangers on a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.text.printable import LONGEST, printable, printable_lines, short

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)


@given(ANY_TEXT)
def test_whatever_a_text_says_it_is_one_line_that_a_terminal_only_shows(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # no half of a surrogate pair is left


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=200))
def test_what_is_ordinary_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text == short(text)


def test_what_does_something_is_shown_as_an_escape() -> None:
    said = "a\nb\r\x1b[2J\x00\x07\x85\u202ec\u2028\tü 世界 \U0001f600"
    assert printable(said) == r"a\nb\r\x1b[2J\x00\x07\x85\u202ec\u2028\tü 世界 😀"


def test_a_long_text_is_cut_and_says_how_much_is_missing() -> None:
    assert printable("x" * 900_000) == "x" * LONGEST + "... (898000 more characters)"
    assert short("\n" * 3_000_000, 10) == "\n" * 10 + "... (2999990 more characters)"
    assert printable("x" * LONGEST) == "x" * LONGEST


@given(ANY_TEXT)
def test_later_lines_of_a_text_never_look_like_lines_of_somebody_else(text: str) -> None:
    first, *others = printable_lines(text).split("\n")
    assert first.isprintable()
    assert all(line.startswith("  | ") and line.isprintable() for line in others)
