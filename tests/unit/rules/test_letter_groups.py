"""Counting letters by worker, topic and error type."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules import letter_groups
from core_messaging.rules.letter_groups import OTHERS, Example, LetterGroups
from core_messaging.rules.letter_ledger import State
from core_messaging.rules.letters import Letter
from tests.unit.rules.letters import letter

states: st.SearchStrategy[State] = st.sampled_from(["open", "replayed", "dropped"])


def described(each: Letter) -> Example:
    return Example(each.record.partition, each.record.offset, None, "", None)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["E", "F"]), st.floats(0, 1e6), states),
        max_size=40,
    )
)
def test_every_letter_is_in_one_group_with_its_state_and_its_time(
    letters: list[tuple[str, str, float, State]],
) -> None:
    groups = LetterGroups("orders-dlq", described)
    for number, (topic, error, at, state) in enumerate(letters):
        groups.add(letter(number, topic=topic, error=error, failed_at=at), state)
    found = groups.sorted()
    assert {(g.topic, g.error_type): g.count for g in found} == Counter((t, e) for t, e, _, _ in letters)
    assert {(g.topic, g.error_type): g.open for g in found if g.open} == Counter(
        (t, e) for t, e, _, state in letters if state == "open"
    )
    for group in found:
        times = [round(at, 3) for t, e, at, _ in letters if (t, e) == (group.topic, group.error_type)]
        assert (group.first, group.last) == (min(times), max(times))


def test_an_open_letter_is_the_better_example() -> None:
    groups = LetterGroups("orders-dlq", described)
    for number, state in enumerate(("replayed", "dropped", "open", "open")):
        groups.add(letter(number), state)  # type: ignore[arg-type] # the literals of a tuple
    (group,) = groups.sorted()
    assert group.example.offset == 2


def test_error_types_without_end_take_no_memory_without_end() -> None:
    groups = LetterGroups("orders-dlq", described)
    for number in range(letter_groups.MOST + 500):
        groups.add(letter(number, error=f"Error{number}"), "open")
    found = groups.sorted()
    assert len(found) <= letter_groups.MOST + 1
    assert sum(group.count for group in found) == letter_groups.MOST + 500
    assert next(group for group in found if group.error_type == OTHERS).count == 500


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ({"retention.ms": "86400000", "cleanup.policy": "delete"}, 86_400.0),
        ({"retention.ms": "1000", "cleanup.policy": "compact,delete"}, 1.0),
        ({"retention.ms": "1000", "cleanup.policy": "compact"}, None),
        ({"retention.ms": "-1"}, None),
        ({}, None),
    ],
)
def test_what_retention_keeps(config: dict[str, str], seconds: float | None) -> None:
    assert letter_groups.retention_of(config) == seconds
