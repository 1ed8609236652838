"""Runs a plugin's coroutine in a task of its own: whatever it does, the caller waits for a limited time only."""

from __future__ import annotations

import asyncio
import types
from asyncio import tasks
from collections.abc import Awaitable, Generator
from time import monotonic
from typing import Any

# Tasks that were given up. Without this reference, asyncio warns when a pending task is garbage-collected.
_given_up: set[asyncio.Task[None]] = set()


class IsolatedCall:
    """One awaitable that runs in a task of its own.

    ``error``: what it raised, or None. ``held``: the longest time (seconds) between two awaits, in which nothing else on the
    event loop could run. ``ended``: when it ended (monotonic clock, seconds), None before that.
    """

    __slots__ = ("ended", "error", "held", "task")

    def __init__(self, outcome: Awaitable[Any]) -> None:
        self.error: BaseException | None = None
        self.held = 0.0
        self.ended: float | None = None
        self.task = asyncio.get_running_loop().create_task(self._run(outcome), name="plugin call")

    async def _run(self, outcome: Awaitable[Any]) -> None:
        # All errors are caught here: a SystemExit that leaves a task ends the event loop, even if another task awaits it.
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
        """Cancel the task and do not wait for it."""
        self.task.cancel()
        _given_up.add(self.task)
        self.task.add_done_callback(_given_up.discard)


async def _awaited(outcome: Awaitable[Any]) -> None:
    """Await any awaitable as a coroutine, which can run step by step."""
    await outcome


async def wait_within(limit: float, calls: list[IsolatedCall]) -> None:
    """Wait until all *calls* have ended, *limit* seconds at most. If this task is cancelled, cancel them too."""
    try:
        await asyncio.wait([call.task for call in calls], timeout=limit)
    except asyncio.CancelledError:
        for call in calls:
            call.give_up()
        raise


def abandon_unfinished() -> None:
    """Let the event loop end without the given-up tasks that do not end: ``asyncio.run`` waits for all tasks it knows."""
    for task in _given_up:
        if not task.done():
            tasks._unregister_task(task)  # noqa: SLF001 - documented for implementations of tasks
