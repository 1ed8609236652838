"""Which letters are meant: each part of a selection alone leaves out what it should, and together they leave out more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.letter_selection import FieldMatch, Selection
from tests.unit.rules.letters import letter

ONE = letter(17, key=b"order-7", value=b'{"id": 7, "to": {"city": "Ulm"}, "ok": true}', failed_at=500.0)


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        (Selection(), True),
        (Selection(worker="W", group="other"), True),
        (Selection(worker="other", group="g"), True),
        (Selection(worker="other", group="other"), False),
        (Selection(original_topic="orders"), True),
        (Selection(original_topic="order"), False),
        (Selection(error_type="ValueError"), True),
        (Selection(error_type="Value"), False),
        (Selection(key=b"order-7"), True),
        (Selection(key=b"order-8"), False),
        (Selection(partition=0), True),
        (Selection(partition=1), False),
        (Selection(offsets=range(17, 18)), True),
        (Selection(offsets=range(17)), False),
        (Selection(since=500.0, until=500.0), True),
        (Selection(since=500.1), False),
        (Selection(until=499.9), False),
        (Selection(fields=(FieldMatch("id", "7"), FieldMatch("to.city", "Ulm"))), True),
        (Selection(fields=(FieldMatch("id", "7"), FieldMatch("to.city", "Bonn"))), False),
        (Selection(fields=(FieldMatch("ok", "true"),)), True),
        (Selection(fields=(FieldMatch("ok", "1"),)), False),
        (Selection(fields=(FieldMatch("missing", "null"),)), False),
    ],
)
def test_a_selection(selection: Selection, *, matches: bool) -> None:
    assert selection.matches(ONE) is matches


payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.text(min_size=1, max_size=5), value=payloads)
def test_a_field_is_found_by_its_name_and_its_value_whatever_they_are(name: str, value: Any) -> None:
    wanted = value if isinstance(value, str) else json.dumps(value)
    selection = Selection(fields=(FieldMatch(name, wanted),))
    assert selection.matches(letter(0, value=json.dumps({name: value}).encode()))


@given(st.none() | st.binary(max_size=30))
def test_a_payload_that_is_no_json_has_no_field(value: bytes | None) -> None:
    assert not Selection(fields=(FieldMatch("id", "7"),)).matches(letter(0, value=value))
