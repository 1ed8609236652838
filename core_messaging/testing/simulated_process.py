"""The life of one simulated process: whatever runs in it stops where it is, all at once, when it is killed."""

from __future__ import annotations

import asyncio
import atexit
from asyncio import tasks
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar
from types import CoroutineType
from typing import Any, TypeVarTuple
from weakref import WeakSet

Facts = TypeVarTuple("Facts")

# A coroutine that nobody has any more runs its ``finally`` blocks, which a killed process never does. So the dead are
# kept, but not all of them for ever: each holds its whole simulation.
KEPT = 200  # processes
TRIES = 5  # a coroutine that waits in its ``finally`` is closed again


class Life:
    """A process knows its own by the context that its tasks, timers and callbacks inherit from each other."""

    def __init__(self) -> None:
        self.context = Context()
        self.context.run(_LIFE.set, self)
        self._alive = True
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._frozen: list[asyncio.Task[Any]] = []

    def begin(self, program: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *program*, and all that it starts, as this process."""
        return asyncio.get_running_loop().create_task(program, context=self.context)

    def has(self, task: asyncio.Task[Any]) -> None:
        """*task* was started in this process."""
        self._tasks.add(task)

    def step(self, callback: Callable[[*Facts], object], *args: *Facts) -> None:
        """What the event loop calls instead of *callback*."""
        if self._alive:
            callback(*args)

    def end(self) -> None:
        """As by SIGKILL: nothing is cancelled, and no ``finally`` runs."""
        self._alive = False
        self._frozen = [task for task in tuple(self._tasks) if not task.done()]
        for task in self._frozen:
            # Else whoever closes the loop would cancel it, and wait for it.
            tasks._unregister_task(task)  # noqa: SLF001 - documented for task implementations that end one
        _dead.append(self)

    def forget(self) -> None:
        """Let go of what is frozen, and hear no complaints about it."""
        for task in self._frozen:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio.gather does
            for coroutine in reversed(_chain(task.get_coro())):
                self.context.run(_close, coroutine)
        self._frozen.clear()


def _chain(outermost: Any) -> list[CoroutineType[Any, Any, Any]]:
    """*outermost*, what it awaits, what that awaits."""
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
    _stubborn.append(coroutine)


_LIFE: ContextVar[Life | None] = ContextVar("core_messaging_simulated_life", default=None)
_dead: deque[Life] = deque()
_stubborn: list[CoroutineType[Any, Any, Any]] = []  # what waits again however often it is closed


def forget_oldest() -> None:
    """Of the dead, all but the last. Call it where no loop runs: that is how the engine's coroutines know that they are
    thrown away."""
    while len(_dead) > KEPT:
        _dead.popleft().forget()


def life_of(context: Context | None) -> Life | None:
    """The process that *context* (None: the current one) belongs to."""
    return _LIFE.get() if context is None else context.get(_LIFE)


@atexit.register
def _forget_all() -> None:
    while _dead:
        _dead.popleft().forget()
