"""Wakes runners when a retry or a batch is due: the one timer of a worker on its event loop."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Handle

from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.rules.job import Job
from core_messaging.rules.schedule import Schedule


class Timer:
    """Knows when the schedule has something to release next. Times are those of the loop's clock, in seconds."""

    def __init__(self, loop: AbstractEventLoop, schedule: Schedule, runner_pool: RunnerPool) -> None:
        self._loop = loop
        self._schedule = schedule
        self._runner_pool = runner_pool
        self._handle: Handle | None = None
        self._due: float | None = None

    def park(self, job: Job, due: float) -> None:
        """Let *job* wait for its retry until *due*; it holds no runner meanwhile."""
        self._schedule.retry(job, due)
        self.set()

    def set(self) -> None:
        """Wake runners when the next retry or batch is due. Call it after every change of what is due."""
        due = self._schedule.next_due
        # The handle need not know its time: uvloop rounds it, and has none for what is due now.
        if due == self._due:
            return
        self.cancel()
        self._handle = None if due is None else self._loop.call_at(due, self._fire, due)
        self._due = due

    def cancel(self) -> None:
        """Wake no runner any more. Safe to repeat."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._due = None

    def _fire(self, due: float) -> None:
        # The loop may call a little early (clock resolution); what is due at the timer's own time is due.
        now = max(due, self._loop.time())
        self._handle = self._due = None
        self._runner_pool.runners.wake(self._schedule.release(now))
        # A batch that is due but finds no free runner stays due: a timer for the past would spin the loop.
        # The runner that becomes free checks by itself.
        following = self._schedule.next_due
        if following is not None and following > now:
            self.set()
