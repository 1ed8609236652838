"""Numbers, times, payloads and charts as the dashboard shows them."""

from __future__ import annotations

import pytest
from core_messaging_dashboard.words import moment, number, payload, points, size, span
from hypothesis import given
from hypothesis import strategies as st


def test_what_is_not_known_is_a_dash() -> None:
    assert (number(None), span(None), moment(None)) == ("-", "-", "-")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.2"), (3.0, "3"), (12.6, "13"), (1_234_567, "1,234,567")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_times_and_sizes() -> None:
    assert moment(0) == "1970-01-01 00:00:00"
    assert moment(1e20) == "-"
    assert span(90_000) == "1 d 1 h"
    assert (size(2048), size(5 * 1024 * 1024)) == ("2 KiB", "5 MiB")


def test_payloads() -> None:
    assert payload(None) == ("none", "no value (a tombstone)")
    assert payload(b'{"a":1}') == ("JSON", '{\n  "a": 1\n}')
    assert payload(b"\xff\x00") == ("hex", "ff 00")
    assert payload(b"\x1b[31mred") == ("text", "\\x1b[31mred")


@given(st.binary(max_size=200))
def test_any_payload_is_shown_without_control_characters(value: bytes) -> None:
    _, text = payload(value)
    assert all(character.isprintable() or character == "\n" for character in text)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e12)), max_size=50))
def test_every_chart_stays_in_its_frame(values: list[float | None]) -> None:
    drawn = [tuple(map(float, pair.split(","))) for pair in points(values).split()]
    assert all(0 <= x <= 300 and 0 <= y <= 60 for x, y in drawn)
    known = sum(value is not None for value in values)
    assert len(drawn) == (known if known > 1 else 0)
