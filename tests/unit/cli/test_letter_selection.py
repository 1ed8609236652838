"""``--since`` and ``--until`` of the commands for dead letters read a time as ``core kafka reset-offsets`` does."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
import pytest
from core_messaging_cli.letter_selection import selection_of

from core_messaging.operations.dead_letters import Queue
from core_messaging.rules.letter_selection import Selection
from core_messaging.rules.offset_reset_plan import parse_target

NOTHING = dict.fromkeys(("key", "original_topic", "error_type", "partition", "offsets", "since", "until"))


@pytest.fixture(autouse=True)
def three_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EAST-3")
        time.tzset()
        yield
    time.tzset()


def select(**given: str) -> Selection:
    return selection_of(Queue("orders-dlq"), {**NOTHING, "matches": (), **given})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-31T08:00", 1_769_835_600),
        ("2026-01-31T08:00Z", 1_769_846_400),
        ("2026-01-31T08:00+03:00", 1_769_835_600),
    ],
)
def test_a_time_without_a_zone_is_local_time_in_both_commands(text: str, seconds: int) -> None:
    # It was UTC here and local time for reset-offsets: a person on call replayed other letters than those meant.
    assert select(since=text).since == select(until=text).until == seconds
    moment = parse_target(text).time
    assert moment is not None
    assert moment.timestamp() == seconds


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01T00:00"])
def test_what_is_no_time_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(click.UsageError, match="is not a time; write 90m"):
        select(until=text)
