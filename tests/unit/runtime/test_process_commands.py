"""What a process does when it is told to, and what it refuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping

import pytest

from core_messaging.errors import CommandRefused
from core_messaging.rules.commands import Argument
from core_messaging.runtime.command_desk import Reply
from core_messaging.runtime.process_commands import ProcessCommands
from core_messaging.testing.virtual_clock import run_virtually


class Process:
    def __init__(self) -> None:
        self.drained: list[bool] = []
        self.hastened: list[tuple[str, bytes | None]] = []

    def drain(self, *, for_good: bool) -> None:
        self.drained.append(for_good)

    def retry_now(self, group: str, key: bytes | None) -> int:
        self.hastened.append((group, key))
        return 1 if key else 3

    def obey(self, name: str, arguments: Mapping[str, Argument]) -> Reply:
        async def obey() -> Reply:
            loop = asyncio.get_running_loop()
            commands = ProcessCommands(loop, self.drain, lambda: "two\nlines", self.retry_now)
            try:
                return await commands.handlers[name](arguments)
            finally:
                commands.close()

        return run_virtually(obey())


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


@pytest.mark.parametrize(("given", "for_good"), [(True, True), (False, False), (None, False), ("yes", False)])
def test_a_drain_begins_after_the_answer(given: Argument, *, for_good: bool) -> None:
    process = Process()
    reply = process.obey("drain", {"for_good": given})
    assert process.drained == []
    assert reply.then is not None
    reply.then()
    assert process.drained == [for_good]


def test_a_dump_is_the_answer() -> None:
    assert Process().obey("dump", {}) == Reply("two\nlines")


def test_a_log_level_says_how_long_it_lasts() -> None:
    reply = Process().obey("log-level", {"level": "debug", "seconds": 300})
    assert reply.text == "logs at debug for 5 min 0 s"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"level": "loud", "seconds": 1}, {"level": 1, "seconds": 1}],
    ids=["none", "name", "type"],
)
def test_an_unknown_log_level_changes_nothing(arguments: Mapping[str, Argument]) -> None:
    before = logging.getLogger().level
    with pytest.raises(CommandRefused, match="is no log level; nothing was changed"):
        Process().obey("log-level", arguments)
    assert logging.getLogger().level == before


@pytest.mark.parametrize("seconds", [0, -1, 10**9, "5m", None, float("nan")])
def test_a_log_level_lasts_a_limited_time(seconds: Argument) -> None:
    with pytest.raises(CommandRefused, match="lasts up to 24 h"):
        Process().obey("log-level", {"level": "debug", "seconds": seconds})


def test_retries_are_hastened_of_a_group_or_of_one_key() -> None:
    process = Process()
    told = [process.obey("retry-now", {"group": "g", "key": key}).text for key in (None, b"k\xff".hex())]
    assert process.hastened == [("g", None), ("g", b"k\xff")]
    assert told == [
        "3 messages that waited for a retry are tried now",
        "1 message that waited for a retry is tried now",
    ]


@pytest.mark.parametrize("arguments", [{}, {"group": 7}, {"group": "g", "key": "xyz"}], ids=str)
def test_a_retry_that_names_nothing_that_can_be_read_changes_nothing(
    arguments: Mapping[str, Argument],
) -> None:
    process = Process()
    with pytest.raises(CommandRefused, match="nothing was changed"):
        process.obey("retry-now", arguments)
    assert process.hastened == []
