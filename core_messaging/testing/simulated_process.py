"""One simulated process: when it is killed or frozen, everything that runs in it stops at once, wherever it is."""

from __future__ import annotations

import asyncio
import atexit
from asyncio import tasks
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar
from types import CoroutineType
from typing import Any
from weakref import WeakSet

# When Python collects a coroutine, its ``finally`` blocks run, which never happens in a killed process. So dead processes are
# kept. Only the latest ones are: each holds its whole simulation in memory.
KEPT = 200  # processes
TRIES = 5  # a coroutine that awaits in its ``finally`` is closed so many times


class Call:
    """A callback of a simulated process. The event loop calls it in the place of the callback."""

    __slots__ = ("args", "callback", "context", "handle", "process")

    def __init__(
        self,
        process: SimulatedProcess,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
    ) -> None:
        self.process, self.callback, self.args, self.context = process, callback, args, context
        self.handle: asyncio.Handle | None = None  # by which the program may cancel the call

    def __call__(self) -> None:
        """Do it, as far as the state of the process lets it."""
        self.process.call(self)

    @property
    def is_cancelled(self) -> bool:
        """Whether the program does not want this call any more."""
        return self.handle is not None and self.handle.cancelled()


class SimulatedProcess:
    """One process of a simulation.

    Its tasks, timers and callbacks inherit a context from each other; by that context they belong to the process.
    """

    def __init__(self) -> None:
        self.context = Context()
        self.context.run(_PROCESS.set, self)
        self._alive = True
        self._held: list[Call] | None = None  # while the process is frozen: what it has to do when it goes on
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._killed: list[asyncio.Task[Any]] = []

    def start(self, program: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *program*, and everything that it starts, as this process."""
        return asyncio.get_running_loop().create_task(program, context=self.context)

    def add_task(self, task: asyncio.Task[Any]) -> None:
        """Note that *task* was started in this process."""
        self._tasks.add(task)

    def call(self, call: Call) -> None:
        """Do *call*: later if the process is frozen, never if it is dead."""
        if not self._alive or call.is_cancelled:
            return
        if self._held is None:
            call.callback(*call.args)
        else:
            self._held.append(call)

    @property
    def is_frozen(self) -> bool:
        """Whether the process is stopped and goes on later."""
        return self._held is not None

    def freeze(self) -> None:
        """Let nothing of the process run until ``thaw``, as SIGSTOP does."""
        self._held = []

    def thaw(self) -> None:
        """Let the process go on, as SIGCONT does. What came due meanwhile is done now, in the same order."""
        held, self._held = self._held or [], None
        for call in held:
            asyncio.get_running_loop().call_soon(call, context=call.context)

    def kill(self) -> None:
        """End the process as SIGKILL does: nothing is cancelled, and no ``finally`` runs."""
        self._alive = False
        self._killed = [task for task in tuple(self._tasks) if not task.done()]
        for task in self._killed:
            # Otherwise the end of the event loop would cancel the task, and wait for it.
            tasks._unregister_task(task)  # noqa: SLF001 - documented for implementations of tasks
        _dead.append(self)

    def forget(self) -> None:
        """Drop the tasks of a dead process without warnings of asyncio."""
        for task in self._killed:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio.gather does
            for coroutine in reversed(_chain(task.get_coro())):
                self.context.run(_close, coroutine)
        self._killed.clear()


def _chain(outermost: Any) -> list[CoroutineType[Any, Any, Any]]:
    """Return *outermost*, the coroutine that it awaits, the one that this awaits, and so on."""
    found: list[CoroutineType[Any, Any, Any]] = []
    while isinstance(outermost, CoroutineType):
        found.append(outermost)
        outermost = outermost.cr_await
    return found


def _close(coroutine: CoroutineType[Any, Any, Any]) -> None:
    for _ in range(TRIES):
        with suppress(BaseException):
            coroutine.close()
            return
    _unclosable.append(coroutine)


_PROCESS: ContextVar[SimulatedProcess | None] = ContextVar("core_messaging_simulated_process", default=None)
_dead: deque[SimulatedProcess] = deque()
_unclosable: list[CoroutineType[Any, Any, Any]] = []  # coroutines that await again at each close


def forget_oldest() -> None:
    """Drop all dead processes but the last KEPT.

    Call it where no event loop runs: by that, the coroutines of the engine know that they are being dropped.
    """
    while len(_dead) > KEPT:
        _dead.popleft().forget()


def process_of(context: Context | None) -> SimulatedProcess | None:
    """Return the process that *context* (None: the current one) belongs to; None if it belongs to none."""
    return _PROCESS.get() if context is None else context.get(_PROCESS)


@atexit.register
def _forget_all() -> None:
    while _dead:
        _dead.popleft().forget()
