"""Runs a stranger's coroutine in a task of its own: whatever it does, its caller gets on in time."""

from __future__ import annotations

import asyncio
import types
from asyncio import tasks
from collections.abc import Awaitable, Generator
from time import monotonic
from typing import Any

# Tasks that had their time and did not end when they were cancelled. Kept, or the collector would complain for them.
_left: set[asyncio.Task[None]] = set()


class Apart:
    """One awaitable under way. ``error`` is what it raised, ``held`` the longest time (seconds) between two awaits,
    in which nothing else on the loop could run, and ``ended`` when it was over, None until then."""

    __slots__ = ("ended", "error", "held", "task")

    def __init__(self, outcome: Awaitable[Any]) -> None:
        self.error: BaseException | None = None
        self.held = 0.0
        self.ended: float | None = None
        self.task = asyncio.get_running_loop().create_task(self._run(outcome), name="plugin call")

    async def _run(self, outcome: Awaitable[Any]) -> None:
        # Caught in here: a SystemExit that leaves a task ends the event loop, whoever waits for the task.
        try:
            await self._steps(outcome)
        except BaseException as error:
            self.error = error
        finally:
            self.ended = monotonic()

    @types.coroutine
    def _steps(self, outcome: Awaitable[Any]) -> Generator[Any, Any, None]:
        steps = _awaited(outcome).__await__()
        resume, argument = steps.send, None
        while True:
            started = monotonic()
            try:
                waits_for = resume(argument)
            except StopIteration:
                return
            finally:
                self.held = max(self.held, monotonic() - started)
            try:
                yield waits_for
            except BaseException as error:
                resume, argument = steps.throw, error
            else:
                resume, argument = steps.send, None

    def give_up(self) -> None:
        """Cancel it, and wait no longer."""
        self.task.cancel()
        _left.add(self.task)
        self.task.add_done_callback(_left.discard)


async def _awaited(outcome: Awaitable[Any]) -> None:
    """Any awaitable as a coroutine, which can be driven step by step."""
    await outcome


async def within(limit: float, calls: list[Apart]) -> None:
    """Wait until all *calls* are over, *limit* seconds at most. Cancelled, they are cancelled too."""
    try:
        await asyncio.wait([call.task for call in calls], timeout=limit)
    except asyncio.CancelledError:
        for call in calls:
            call.give_up()
        raise


def leave_behind() -> None:
    """Let the loop end without the tasks that will not: ``asyncio.run`` waits for all that it knows of."""
    for task in _left:
        if not task.done():
            tasks._unregister_task(task)  # noqa: SLF001 - documented for task implementations that end one
