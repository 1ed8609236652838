"""Where plain ``def`` code runs: handlers in threads that they wait for, callbacks in threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from core_messaging.config import WorkerConfig
from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.engine.thread_group import ThreadGroup
from core_messaging.rules.job import Job

Concerns = Callable[[Job], bool]

# Threads for each worker where its ``concurrency`` asks for less: a batch worker calls ``process`` for many messages at a time.
FEWEST = 32


@dataclass(frozen=True, slots=True)
class Place:
    """The slot of the runner that calls; ``clock`` is the one that its times are of, for any thread."""

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


class Threads(Protocol):
    """Runs plain ``def`` code outside of the event loop.

    ``ahead``: how many more handlers than there are threads should wait for one, so that a thread that is free has its
    next handler at hand. A way through the event loop takes longer than many a handler.
    """

    @property
    def ahead(self) -> int:
        """How many more handlers than there are threads should wait for one."""
        ...

    async def handle(self, run: Callable[[], Any], begins: Callable[[], object]) -> Any:
        """Run a handler; *begins* is called when it starts, in its thread. Raises NotBegun, see ``give_back``."""
        ...

    async def call_back(self, run: Callable[[], Any]) -> Any:
        """Run a callback, which waits for no handler."""
        ...

    def give_back(self, runner_pool: RunnerPool, concerns: Concerns) -> None:
        """Handlers of *runner_pool* that wait for a thread, and whose job *concerns* accepts, do not begin any more."""
        ...

    def shutdown(self) -> None:
        """Nothing begins any more. Not waited for: a thread that hangs has had its shutdown_timeout already."""
        ...


class _Call:
    """A call of *run*, which must not raise. *begins* is called right before it, in the thread."""

    __slots__ = ("_begins", "_outcome", "_run", "answer", "place")

    def __init__(
        self,
        run: Callable[[], Any],
        begins: Callable[[], object],
        answer: asyncio.Future[Any],
        place: Place | None,
    ) -> None:
        self._run, self._begins, self.answer, self.place = run, begins, answer, place
        self._outcome: Any = None

    def make(self) -> None:
        """Make the call, in a thread."""
        if self.place is not None:
            self.place.begins()
        self._begins()
        self._outcome = self._run()

    def tell(self) -> None:
        """Hand its outcome over to who waits for it, in the event loop."""
        if not self.answer.done():
            self.answer.set_result(self._outcome)

    def give_back(self) -> None:
        """No thread makes it any more."""
        if not self.answer.done():
            self.answer.set_exception(NotBegun())


class HandlerThreads:
    """*count* threads for handlers, and as many for callbacks.

    A handler that waits for a thread can be taken back. One that waits in an executor would still be started when the
    worker stops.
    """

    def __init__(self, count: int, ahead: int = 0) -> None:
        self.ahead = ahead
        self._handlers = ThreadGroup[_Call]("core-handler", count)
        self._callbacks = ThreadGroup[_Call]("core-callback", count)

    async def handle(self, run: Callable[[], Any], begins: Callable[[], object]) -> Any:
        """Run a handler in a thread; *begins* is called there when it starts. Raises NotBegun, see ``give_back``."""
        place = PLACE.get()
        if place is not None and self._handlers.is_full:
            place.waits()
        return await _outcome(self._handlers, run, begins, place)

    async def call_back(self, run: Callable[[], Any]) -> Any:
        """Run a callback, which waits for no handler."""
        return await _outcome(self._callbacks, run, _nothing, None)

    def give_back(self, runner_pool: RunnerPool, concerns: Concerns) -> None:
        """Handlers of *runner_pool* that wait for a thread, and whose job *concerns* accepts, do not begin any more."""
        for call in self._handlers.waiting():
            if (
                call.place is not None
                and call.place.holds_one_of(runner_pool, concerns)
                and self._handlers.withdraw(call)
            ):
                call.give_back()

    def shutdown(self) -> None:
        """Nothing begins any more. Not waited for: a thread that hangs has had its shutdown_timeout already."""
        self._handlers.shutdown()
        self._callbacks.shutdown()


async def _outcome(
    group: ThreadGroup[_Call], run: Callable[[], Any], begins: Callable[[], object], place: Place | None
) -> Any:
    call = _Call(run, begins, asyncio.get_running_loop().create_future(), place)
    group.add(call)
    try:
        return await call.answer
    except asyncio.CancelledError:
        group.withdraw(call)
        raise


class ExecutorThreads:
    """The threads of *executor*, which is somebody else's. What waits there is not given back."""

    ahead = 0

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def handle(self, run: Callable[[], Any], begins: Callable[[], object]) -> Any:
        """Run a handler; *begins* is called before that."""
        place = PLACE.get()
        if place is not None:
            place.begins()
        begins()
        return await self.call_back(run)

    async def call_back(self, run: Callable[[], Any]) -> Any:
        """Run a callback."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    def give_back(self, runner_pool: RunnerPool, concerns: Concerns) -> None:
        """Do nothing."""

    def shutdown(self) -> None:
        """Do nothing: the executor may have other users."""


class ProcessThreads:
    """The threads of all workers of a process.

    *count* of them for all workers. None: as many for each worker as its ``concurrency`` asks for.
    """

    def __init__(self, count: int | None, executor: Executor | None = None) -> None:
        self._shared = self._for_all(count, executor)
        self._own: list[HandlerThreads] = []

    @staticmethod
    def _for_all(count: int | None, executor: Executor | None) -> Threads | None:
        if executor is not None:
            return ExecutorThreads(executor)
        return None if count is None else HandlerThreads(count)

    def of(self, config: WorkerConfig) -> Threads:
        """The threads of the worker of *config*."""
        if self._shared is not None:
            return self._shared
        if config.batch_size is None:
            # One at a time stays one at a time: its callbacks are over before the next handler begins.
            ahead = config.concurrency if config.concurrency > 1 else 0
            threads = HandlerThreads(config.concurrency, ahead)
        else:
            threads = HandlerThreads(max(FEWEST, config.concurrency))
        self._own.append(threads)
        return threads

    def shutdown(self) -> None:
        """Nothing begins any more."""
        for threads in (*self._own, *([] if self._shared is None else [self._shared])):
            threads.shutdown()


def _nothing() -> None: ...
