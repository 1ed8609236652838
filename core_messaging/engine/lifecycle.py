"""How far the run of one worker has come, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum


class RunState(Enum):
    """The states of a run. A run goes through them in this order; it may leave some out."""

    NEW = "new"
    RUNNING = "running"
    DRAINING = "draining"  # takes nothing new, finishes what it holds
    STOPPED = "stopped"


NEXT = {
    RunState.NEW: {RunState.RUNNING, RunState.STOPPED},
    RunState.RUNNING: {RunState.DRAINING, RunState.STOPPED},
    RunState.DRAINING: {RunState.STOPPED},
    RunState.STOPPED: set[RunState](),
}


class Lifecycle:
    """The state of one run.

    ``failure`` is the error that ends it, None as long as there is none. ``phase`` says which of the user's code, or of the
    broker's answers, holds it up outside of messages; empty if nothing does.
    """

    def __init__(self, worker: str, ends: Callable[[str, BaseException], None]) -> None:
        """*ends* is called with the name of the worker and the error, once it begins to end by itself."""
        self._worker = worker
        self._ends = ends
        self._stop_requested = asyncio.Event()
        self.state = RunState.NEW
        self.failure: Exception | None = None
        self.phase = ""

    def enter(self, state: RunState) -> None:
        """Go on to *state*."""
        if state not in NEXT[self.state]:
            raise AssertionError(f"{self._worker}: {self.state} cannot become {state}; please report this")
        self.state = state

    @property
    def is_running(self) -> bool:
        """It works, and was not asked to stop."""
        return self.state is RunState.RUNNING

    @property
    def is_draining(self) -> bool:
        """It finishes what it holds."""
        return self.state is RunState.DRAINING

    @property
    def is_stopped(self) -> bool:
        """All is over."""
        return self.state is RunState.STOPPED

    @contextmanager
    def held_up_by(self, phase: str) -> Iterator[None]:
        """Name what is waited for in the block."""
        self.phase = phase
        try:
            yield
        finally:
            self.phase = ""

    def request_stop(self) -> None:
        """Ask the run to end in order. Safe to repeat."""
        self._stop_requested.set()

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether ``request_stop`` was called."""
        return self._stop_requested.is_set()

    async def until_asked_to_stop(self) -> None:
        """Wait for ``request_stop``."""
        await self._stop_requested.wait()

    def announce_end(self, error: BaseException) -> None:
        """The worker begins to end by itself, because of *error*."""
        self._ends(self._worker, error)

    def note_failure(self, error: Exception | None) -> None:
        """*error* ends the run, unless an earlier one does."""
        self.failure = self.failure or error

    def fail(self, error: Exception) -> None:
        """End the run in order, because of *error*."""
        if self.failure is None:
            self.announce_end(error)
        self.note_failure(error)
        self.request_stop()
