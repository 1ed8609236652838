"""An event loop whose clock jumps to whatever is due next: an hour of retries passes in milliseconds.

Nothing in it depends on how fast the machine is, so the same program does the same in every run.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from core_messaging.errors import LoopRunning, SimulationStuck
from core_messaging.testing.simulated_process import life_of

Result = TypeVar("Result")
Facts = TypeVarTuple("Facts")

MOST_TURNS = 200_000  # turns of the loop in which no time passes; more is an endless loop


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: where the loop would sleep, the time passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise SimulationStuck("nothing is left that could ever happen, and it is not over", self.now)
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > MOST_TURNS:
            raise SimulationStuck("the event loop turns for ever while no time passes", self.now)
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0 and moves only when everything waits. No network: nobody waits for the real world."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # For asyncio.to_thread: the clock does not wait for a real thread.
        self.set_default_executor(InlineThreads(1))

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's signature
        """There are no threads to wait for; asyncio would wait for them in one more."""

    def time(self) -> float:
        return self._jumping.now

    # What belongs to a simulated process is called only while that lives. Tasks take their steps by ``call_soon``.
    def call_soon(
        self, callback: Callable[[*Facts], object], *args: *Facts, context: Context | None = None
    ) -> asyncio.Handle:
        life = life_of(context)
        if life is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(life.step, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Facts], object], *args: *Facts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        life = life_of(context)
        if life is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, life.step, callback, *args, context=context)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = super().create_task(coro, **options)
        life = life_of(options.get("context"))
        if life is not None:
            life.has(task)
        return task


class InlineThreads(ThreadPoolExecutor):
    """Runs what is submitted at once, in the caller: a real thread would end at a moment of its own choice."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        outcome: Future[Any] = Future()
        try:
            outcome.set_result(fn(*args, **kwargs))
        except Exception as error:
            outcome.set_exception(error)
        return outcome


def run_virtually(program: Coroutine[Any, Any, Result]) -> Result:
    """``asyncio.run`` on a virtual clock. Raises SimulationStuck where the program can never end, LoopRunning inside of a
    loop."""
    if _loop_runs():
        program.close()
        raise LoopRunning
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(program)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
