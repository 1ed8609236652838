"""An event loop whose clock jumps to the next event: an hour of retries passes in milliseconds.

It does not depend on the speed of the machine, so the same program does the same in every run.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple

from core_messaging.errors import LoopRunning, SimulationStuck
from core_messaging.testing.simulated_process import Call, process_of

Result = TypeVar("Result")
Facts = TypeVarTuple("Facts")

MOST_TURNS = 200_000  # passes of the event loop without a change of time; more is an endless loop


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: where the event loop would sleep, it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Move the clock by *timeout* seconds and return at once. Raises SimulationStuck."""
        if timeout is None:
            raise SimulationStuck("no event can happen any more, and the program has not ended", self.now)
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > MOST_TURNS:
            raise SimulationStuck("the event loop runs without an end while no time passes", self.now)
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0 and moves only when everything waits. It has no network: it waits for nothing real."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # For asyncio.to_thread: the clock does not wait for a real thread.
        self.set_default_executor(InlineThreads(1))

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's signature
        """Do nothing: there are no threads to wait for. asyncio would use another thread to wait for them."""

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._jumping.now

    # Callbacks of a simulated process are called only while it is alive and not frozen. The steps of tasks come by ``call_soon`` too.
    def call_soon(
        self, callback: Callable[[*Facts], object], *args: *Facts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call *callback* in the next pass, if its process is still alive then."""
        process = process_of(context)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        call = Call(process, callback, args, context or copy_context())
        handle = call.handle = super().call_soon(call, context=call.context)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Facts], object], *args: *Facts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call *callback* at the time *when* (seconds), if its process is still alive then."""
        process = process_of(context)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        call = Call(process, callback, args, context or copy_context())
        handle = call.handle = super().call_at(when, call, context=call.context)
        return handle

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Create a task that belongs to the process of its context."""
        task = super().create_task(coro, **options)
        process = process_of(options.get("context"))
        if process is not None:
            process.add_task(task)
        return task


class InlineThreads(ThreadPoolExecutor):
    """Runs each function at once, in the thread of the caller: the end of a real thread is not repeatable."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call *fn*; return a future that is done."""
        outcome: Future[Any] = Future()
        try:
            outcome.set_result(fn(*args, **kwargs))
        except Exception as error:
            outcome.set_exception(error)
        return outcome


def run_virtually(program: Coroutine[Any, Any, Result]) -> Result:
    """Run *program* as ``asyncio.run`` does, on a virtual clock.

    Raises SimulationStuck if the program can never end, LoopRunning inside a running event loop.
    """
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
