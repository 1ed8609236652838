"""A workbench for tests without an event loop of their own: the worker runs in a thread until the test ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from core_messaging.testing.outcome import Outcome
from core_messaging.testing.workbench import Message, Workbench, class_of

Result = TypeVar("Result")


class BackgroundWorkbench:
    """A worker that runs on a broker in memory, on the real clock; see ``running``, of which this is the plain twin.

    Raises NoWorker, PluginError.
    """

    def __init__(self, worker: object, plugins: Sequence[Any] = ()) -> None:
        self._bench = Workbench(class_of(worker), plugins)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="workbench", daemon=True)
        self._thread.start()
        self._call(self._bench.start)

    def put(self, *messages: Message) -> None:
        """Store *messages*, in the first input topic unless an Outgoing says otherwise. Raises RecordRefused."""
        self._call(lambda: self._bench.put(*messages))

    def until_finished(self, patience: float | None = None) -> Outcome:
        """Wait until all that was put is settled and committed, and return what happened.

        *patience*: seconds, 10 by default. Raises NotFinished after that, and what the worker stopped with.
        """
        self._run(self._bench.until_finished(patience))
        return self.outcome()

    def outcome(self) -> Outcome:
        """What has happened so far."""
        return self._call(self._bench.outcome)

    def stop(self) -> None:
        """End in order: what runs may finish. Raises what the worker stopped with by itself."""
        try:
            self._run(self._bench.stop())
        finally:
            self._run(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._bench.raise_if_stopped()

    def _call(self, what: Callable[[], Result]) -> Result:
        async def called() -> Result:
            return what()

        return self._run(called())

    def _run(self, what: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()


class MakeWorkbench(Protocol):
    """Runs a worker (a class, or a function under ``@worker``) until the test ends: the fixture ``core_workbench``."""

    def __call__(self, worker: object, *, plugins: Sequence[Any] = ()) -> BackgroundWorkbench: ...
