"""What holds the event loop is named while it does: the pod may be killed before it is over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest

from core_messaging.runtime import loop_watchdog
from core_messaging.runtime.loop_watchdog import LoopGuard

PATIENCE = 10.0  # seconds


class Heard(logging.Handler):
    """Remembers the guard's lines."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def hold_the_loop(heard: Heard, lines: int) -> None:
    """Block the caller's loop until the guard has said so many lines, or the time is over."""
    end = time.monotonic() + PATIENCE
    while len(heard.records) < lines and time.monotonic() < end:
        time.sleep(0.001)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    monkeypatch.setattr(loop_watchdog, "TICK", 0.01)
    monkeypatch.setattr(loop_watchdog, "BLOCKED", 0.1)
    handler = Heard()
    loop_watchdog.logger.addHandler(handler)
    yield handler
    loop_watchdog.logger.removeHandler(handler)


def test_what_blocks_the_loop_for_good_is_named_while_it_does_and_again(heard: Heard) -> None:
    # The line came when the block was over. One that never is had the pod killed with nothing in the log.
    async def handler() -> int:
        with LoopGuard():
            hold_the_loop(heard, 3)
            return len(heard.records)

    assert asyncio.run(handler()) == 3
    assert {record.__dict__["action"] for record in heard.records} == {"loop blocked"}
    assert all("hold_the_loop" in r.getMessage() and __file__ in r.getMessage() for r in heard.records)
    first, second, third = (float(str(record.args[0])) for record in heard.records)  # type: ignore[index]
    assert second >= 2 * first
    assert third >= 2 * second


def test_how_long_it_was_is_told_when_it_is_over(heard: Heard) -> None:
    async def block_and_go_on() -> None:
        with LoopGuard():
            hold_the_loop(heard, 1)
            while heard.records[-1].__dict__["action"] != "loop free":  # noqa: ASYNC110 - from a thread
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(block_and_go_on(), PATIENCE))
    told = heard.records[-1]
    assert "it was blocked for" in told.getMessage()
    assert "hold_the_loop" in told.getMessage()
    assert float(str(told.args[0])) >= 0.1  # type: ignore[index]
