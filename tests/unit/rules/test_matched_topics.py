"""A pattern matches whole names, never what is internal or written by the worker itself, and tells what changes."""

from __future__ import annotations

import re

import pytest

from core_messaging.options import TopicPattern
from core_messaging.rules.matched_topics import MatchedTopics

ORDERS = TopicPattern(re.compile(r"orders\..*"), frozenset({"orders.dlq"}))


@pytest.mark.parametrize(
    ("topic", "matches"),
    [
        ("orders.eu", True),
        ("orders.", True),
        ("old-orders.eu", False),  # the whole name, not a part of it
        ("orders", False),
        ("orders.dlq", False),
        ("orders.dlq2", True),
    ],
)
def test_a_pattern_matches_whole_names_that_are_not_left_out(topic: str, matches: bool) -> None:
    assert ORDERS.matches(topic) is matches


def test_internal_topics_never_match() -> None:
    everything = TopicPattern(re.compile(".*"))
    assert everything.found_in(["b", "__consumer_offsets", "_schemas", "a"]) == ("_schemas", "a", "b")


def test_the_first_look_tells_what_matches_and_what_is_left_out() -> None:
    matched = MatchedTopics(ORDERS)
    assert matched.look(["orders.us", "orders.dlq", "orders.eu", "other"]) == (
        r"orders.eu, orders.us match the pattern orders\..*; orders.dlq left out, because this worker or the runtime "
        "writes there"
    )
    assert matched.names == ("orders.eu", "orders.us")


def test_no_match_is_one_line_and_later_looks_tell_only_what_changes() -> None:
    matched = MatchedTopics(ORDERS)
    assert matched.look(["other"]) == r"no topic matches the pattern orders\..* yet; the worker waits for one"
    assert matched.look(["other", "another"]) is None
    assert matched.look(["orders.eu", "orders.dlq"]) == r"the pattern orders\..*: orders.eu now matches"
    assert matched.look(["orders.us", "orders.x"]) == (
        r"the pattern orders\..*: orders.us, orders.x now match, orders.eu is gone"
    )
    assert matched.first == frozenset()


def test_a_line_names_ten_topics_at_most() -> None:
    line = MatchedTopics(ORDERS).look([f"orders.{number:02}" for number in range(15)])
    assert line is not None
    assert "orders.09 and 5 more topics match" in line
    assert "orders.10" not in line
