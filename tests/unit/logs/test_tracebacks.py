"""Tracebacks for a log: bounded, without our frames, whatever the error is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.logs.tracebacks import kind_of, lines_of
from core_messaging.text.printable import printable


def raised(error: BaseException) -> BaseException:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def recursive(depth: int) -> None:
    if depth == 0:
        raise ValueError("deep")
    recursive(depth - 1)


@given(st.text(), st.text())
def test_no_text_of_an_error_or_of_its_notes_makes_a_line(text: str, note: str) -> None:
    error = raised(ValueError(text))
    error.add_note(note)
    assert lines_of(error, None, printable).count("\n") == 1


def test_a_deep_recursion_and_a_long_chain_are_bounded() -> None:
    with pytest.raises(ValueError, match="deep") as caught:
        recursive(500)
    assert len(lines_of(caught.value, caught.value.__traceback__).splitlines()) < 150
    error: BaseException = ValueError("first")
    for number in range(500):
        following = ValueError(str(number))
        following.__cause__, error = error, following
    assert len(lines_of(error, None).splitlines()) < 100
    group: BaseException = ValueError("inner")
    for _ in range(500):
        group = BaseExceptionGroup("nested", [group] * 3)
    assert len(lines_of(group, None).splitlines()) < 100
    assert kind_of(group)


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert lines_of(first, None).count("ValueError") == 2


def test_an_error_whose_text_cannot_be_had_is_shown_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert "its text cannot be read" in lines_of(Mute(), None)


def test_the_place_of_an_error_is_the_line_that_raised_it() -> None:
    def other() -> None:
        raise ValueError("a")

    with pytest.raises(ValueError, match="a") as caught:
        other()
    one, same, another = raised(ValueError("a")), raised(ValueError("b")), caught.value
    assert kind_of(one) == kind_of(same) != kind_of(another)
    assert kind_of(raised(KeyError("a"))) != kind_of(one)
