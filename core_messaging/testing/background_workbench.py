"""A workbench for tests that have no event loop: the worker runs in a thread until the test ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from core_messaging.testing.outcome import Outcome
from core_messaging.testing.workbench import Message, Workbench, class_of

Result = TypeVar("Result")


class BackgroundWorkbench:
    """Runs a worker on a broker in memory, on the real clock. It does the same as ``running``, without ``async``.

    Raises NoWorker, PluginError.
    """

    def __init__(self, worker: object, plugins: Sequence[Any] = ()) -> None:
        self._bench = Workbench(class_of(worker), plugins)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="workbench", daemon=True)
        self._thread.start()
        self._call(self._bench.start)

    def put(self, *messages: Message) -> None:
        """Store *messages* in the first input topic; an Outgoing names its own topic. Raises RecordRefused."""
        self._call(lambda: self._bench.put(*messages))

    def until_finished(self, patience: float | None = None) -> Outcome:
        """Wait until all messages are settled and committed; return what happened.

        *patience*: seconds, 10 by default. Raises NotFinished after that time, and the error that the worker stopped with.
        """
        self._run(self._bench.until_finished(patience))
        return self.outcome()

    def outcome(self) -> Outcome:
        """Return what has happened so far."""
        return self._call(self._bench.outcome)

    def stop(self) -> None:
        """Stop the worker in order: messages that are being processed may finish.

        Raises the error that the worker stopped with by itself, if it did.
        """
        try:
            self._run(self._bench.stop())
        finally:
            self._run(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._bench.raise_if_stopped()

    def _call(self, function: Callable[[], Result]) -> Result:
        """Call *function* in the thread of the worker."""

        async def called() -> Result:
            return function()

        return self._run(called())

    def _run(self, program: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(program, self._loop).result()


class MakeWorkbench(Protocol):
    """Runs a worker (a class, or a function under ``@worker``) until the test ends: the fixture ``core_workbench``."""

    def __call__(self, worker: object, *, plugins: Sequence[Any] = ()) -> BackgroundWorkbench:
        """Run *worker* with *plugins* until the test ends. Raises NoWorker, PluginError."""
        ...
