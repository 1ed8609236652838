"""A log level that was set for a time goes back by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from core_messaging.runtime.log_level import LogLevel
from core_messaging.testing.virtual_clock import run_virtually

ROOT, OURS = logging.getLogger(), logging.getLogger("core_messaging")


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    root, ours = ROOT.level, OURS.level
    ROOT.setLevel(logging.INFO)
    yield
    ROOT.setLevel(root)
    OURS.setLevel(ours)


def seen() -> tuple[int, int]:
    return ROOT.level, OURS.level


def test_a_level_goes_back_when_its_time_is_over() -> None:
    async def watch() -> list[tuple[int, int]]:
        level = LogLevel(asyncio.get_running_loop())
        OURS.setLevel(logging.WARNING)
        level.set_for("debug", 60.0)
        found = [seen()]
        await asyncio.sleep(59.0)
        found.append(seen())
        await asyncio.sleep(2.0)
        return [*found, seen()]

    debug = (logging.DEBUG, logging.DEBUG)
    assert run_virtually(watch()) == [debug, debug, (logging.INFO, logging.WARNING)]


def test_a_second_level_goes_back_to_the_first_of_all() -> None:
    async def watch() -> list[int]:
        level = LogLevel(asyncio.get_running_loop())
        level.set_for("debug", 60.0)
        level.set_for("error", 120.0)
        await asyncio.sleep(100.0)
        found = [ROOT.level]
        await asyncio.sleep(50.0)
        return [*found, ROOT.level]

    assert run_virtually(watch()) == [logging.ERROR, logging.INFO]


def test_the_level_goes_back_with_the_end_of_the_process_run() -> None:
    async def watch() -> None:
        level = LogLevel(asyncio.get_running_loop())
        level.set_for("debug", 60.0)
        level.close()

    run_virtually(watch())
    assert ROOT.level == logging.INFO
