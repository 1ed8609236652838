"""The work of a handler, the same for every contestant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.tally import Tally
from benchmarks.task import Entry, Task

# Iterations that take about a millisecond on a machine of 2020. Every contestant does the same work.
ROUNDS = 20_000


def compute() -> int:
    """CPU-bound work."""
    total = 0
    for number in range(ROUNDS):
        total += number * number
    return total


def coroutine(task: Task, tally: Tally) -> Callable[[Any], Awaitable[Any]]:
    """Make an async handler of a decoded message. With an output it returns the message."""
    one, begin, seconds = tally.one, tally.begin, task.seconds

    async def nothing(message: dict[str, Any]) -> None:
        begin()
        one(message["id"])

    async def passed_on(message: dict[str, Any]) -> dict[str, Any]:
        begin()
        one(message["id"])
        return message

    async def sleeping(message: dict[str, Any]) -> None:
        begin()
        await asyncio.sleep(seconds)
        one(message["id"])

    async def computing(message: dict[str, Any]) -> None:
        begin()
        compute()
        one(message["id"])

    async def late(message: dict[str, Any]) -> None:
        begin()
        if seconds:
            await asyncio.sleep(seconds)
        tally.late(message["id"], message["at"])

    kinds = {"nothing": nothing, "sleep": sleeping, "cpu": computing, "late": late, "pass on": passed_on}
    return kinds[_kind(task)]


def _kind(task: Task) -> str:
    if task.rate:
        return "late"
    return "pass on" if task.output else task.work


def typed(_task: Task, tally: Tally) -> Callable[[Any], Awaitable[Any]]:
    """Make an async handler of an Entry."""

    async def nothing(message: Entry) -> None:
        tally.begin()
        tally.one(message.id)

    return nothing


def plain(task: Task, tally: Tally) -> Callable[[Any], Any]:
    """Make a plain def handler of a decoded message, for any thread."""
    sleeps = task.work in ("sleep", "thread")
    count = tally.one_of_threads if sleeps else tally.one

    def handle(message: dict[str, Any]) -> Any:
        tally.begin()
        if sleeps:
            time.sleep(task.seconds)
        elif task.work == "cpu":
            compute()
        count(message["id"])
        return message if task.output else None

    return handle
