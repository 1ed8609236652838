"""Numbers in sentences: one message, two messages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import BatchLengthMismatch, ManyNotSent
from core_messaging.plugins.manager import PluginReport
from core_messaging.text.wording import counted, duration, long_duration, until

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.7, "1 min 0 s"), (3_599, "59 min 59 s"), (90_061, "25 h 1 min")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(61, "1 min 1 s"), (86_399.7, "1 d 0 h"), (90_061, "1 d 1 h")])
def test_a_long_duration_has_days(seconds: float, text: str) -> None:
    assert long_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_only_one_is_singular(count: int) -> None:
    words = counted(count, "message", "is late", "are late")
    assert words == (f"{count} message is late" if count == 1 else f"{count} messages are late")


@pytest.mark.parametrize(
    ("noun", "plural"), [("process", "processes"), ("record", "records"), ("batch", "batches")]
)
def test_a_plural_is_spelled_as_in_english(noun: str, plural: str) -> None:
    assert counted(2, noun) == f"2 {plural}"


def test_no_line_of_the_log_and_no_error_has_a_number_before_a_fixed_plural() -> None:
    fixed = re.compile(
        r"(?<!all )(?<!= )(%d|%s|\{len\([^{}]*\)\}|\{\w*count\w*\}) (messages|records|lines|processes|owners|results)\b"
    )
    found = [
        f"{file.name}:{number}: {line.strip()}"
        for folder in ("core_messaging", "cli", "plugins")
        for file in (ROOT / folder).rglob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if fixed.search(line)
        and "batch of %d messages" not in line  # a batch that is halved has two at least
    ]
    assert found == []


def test_errors_say_it_right() -> None:
    assert "got 1 message and returned 2 results" in str(BatchLengthMismatch(1, 2))
    assert "1 message was tried, 0 stored and 1 not" in str(ManyNotSent([], {0: ValueError("x")}))


def test_a_plugin_is_in_conflict_and_not_a_conflict() -> None:
    assert PluginReport("a", "a 1", state="conflict").said_state == "in conflict"
    assert PluginReport("a", "a 1", state="broken").said_state == "broken"


def test_the_end_of_a_time_is_local_and_nothing_without_one() -> None:
    assert until(None) == ""
    assert re.fullmatch(r" until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", until(1_800_000_000.5))
