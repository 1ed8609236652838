"""Where plain ``def`` code runs: handlers in threads that they wait for, callbacks in threads of their own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.rules.job import Job

Concerns = Callable[[Job], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """The slot of the runner that calls; ``clock`` is the one that its times are of."""

    runner_pool: RunnerPool
    slot: int
    clock: Callable[[], float]

    def waits(self) -> None:
        """Note that the handler of this slot waits for a thread."""
        self.runner_pool.not_begun(self.slot)

    def begins(self) -> None:
        """Note that the handler of this slot begins in a thread."""
        self.runner_pool.begins(self.slot, self.clock())

    def holds_one_of(self, runner_pool: RunnerPool, concerns: Concerns) -> bool:
        """Whether this slot of *runner_pool* holds a job that *concerns* accepts."""
        held = self.runner_pool.current[self.slot]
        return (
            self.runner_pool is runner_pool and held is not None and any(concerns(job) for job in held.jobs)
        )


# Set once by each runner; the tasks that a batch makes have it too.
PLACE: ContextVar[Place | None] = ContextVar("PLACE", default=None)


class NotBegun(BaseException):
    """The worker stops, or gives the partition back, and no thread was free until now: the handler was not called.

    No Exception, so that a middleware takes it for no failure.
    """


@dataclass(frozen=True, slots=True)
class _Waiter:
    seat: asyncio.Future[None]
    place: Place | None


class HandlerThreads:
    """*count* threads for the handlers of all workers of a process, and as many for their callbacks.

    A handler has not begun before a thread is free for it, so it waits here and not in the executor. A handler that
    waits in the executor cannot be taken back, and would still be started when the worker stops.
    """

    def __init__(self, count: int, executor: ThreadPoolExecutor | None = None) -> None:
        self._handlers = executor or ThreadPoolExecutor(count, thread_name_prefix="core-handler")
        self._callbacks = executor or ThreadPoolExecutor(count, thread_name_prefix="core-callback")
        self._free = count
        self._waiting: deque[_Waiter] = deque()

    async def handle(self, run: Callable[[], Any], begins: Callable[[], None]) -> Any:
        """Run it in a thread; *begins* is called when that starts. Raises NotBegun, see ``give_back``."""
        place = PLACE.get()
        if self._free:
            self._free -= 1
        else:
            await self._seat(place)
        try:
            if place is not None:
                place.begins()
            begins()
            return await asyncio.get_running_loop().run_in_executor(self._handlers, run)
        finally:
            self._leave()

    async def call_back(self, run: Callable[[], Any]) -> Any:
        """Run a callback, which waits for no handler."""
        return await asyncio.get_running_loop().run_in_executor(self._callbacks, run)

    async def _seat(self, place: Place | None) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), place)
        self._waiting.append(waiter)
        if place is not None:
            place.waits()
        try:
            await waiter.seat
        except asyncio.CancelledError:
            if not waiter.seat.cancelled() and waiter.seat.exception() is None:
                self._leave()  # it was handed over already
            raise

    def _leave(self) -> None:
        """The next one has the thread."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.seat.done():
                waiter.seat.set_result(None)
                return
        self._free += 1

    def give_back(self, runner_pool: RunnerPool, concerns: Concerns) -> None:
        """Handlers of *runner_pool* that wait for a thread, and whose job *concerns* accepts, do not begin any more."""
        for waiter in self._waiting:
            place = waiter.place
            if not waiter.seat.done() and place is not None and place.holds_one_of(runner_pool, concerns):
                waiter.seat.set_exception(NotBegun())

    def shutdown(self) -> None:
        """Not waited for: a thread that hangs has had its shutdown_timeout already."""
        self._handlers.shutdown(wait=False, cancel_futures=True)
        self._callbacks.shutdown(wait=False, cancel_futures=True)
