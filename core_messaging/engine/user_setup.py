"""Calls ``setup`` and ``teardown`` of a worker."""

from __future__ import annotations

import asyncio
import inspect

from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.config import WorkerConfig
from core_messaging.engine.handler import refuse_generator
from core_messaging.engine.lifecycle import Lifecycle
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.errors import BrokenWorker
from core_messaging.worker import Worker


class UserSetup:
    """The user's code before the first message and after the last one."""

    def __init__(self, worker: Worker, config: WorkerConfig, lifecycle: Lifecycle, log: WorkerLog) -> None:
        self._worker = worker
        self._config = config
        self._lifecycle = lifecycle
        self._log = log
        self._scope: asyncio.Timeout | None = None  # while setup() runs; its end cancels it

    async def set_up(self) -> bool:
        """Call ``setup``. False: the worker was asked to stop meanwhile, and ``setup`` was cancelled.

        Raises BrokenWorker when it raises.
        """
        if self._lifecycle.is_asked_to_stop:
            return False
        self._scope = scope = asyncio.timeout(None)
        try:
            with self._lifecycle.held_up_by("setup()"):
                async with scope:
                    await _done("setup", self._worker.setup())
        except BaseException as error:
            if scope.expired():  # whatever it raises when it is cancelled is no fault of the worker
                return False
            if stopping_us(error):
                raise
            self._log.raised("setup failed", "setup()", error)
            raise self._broken("setup()", error) from error
        finally:
            self._scope = None
        return True

    def cancel(self) -> None:
        """Cancel ``setup`` if it runs. Safe to repeat."""
        if self._scope is not None and self._scope.when() is None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def tear_down(self) -> BrokenWorker | None:
        """Call ``teardown``; the error if it raises. Not raised: it must not replace the error that ended the worker."""
        try:
            with self._lifecycle.held_up_by("teardown()"):
                await _done("teardown", self._worker.teardown())
        except BaseException as error:
            if stopping_us(error):
                raise
            self._log.raised("teardown failed", "teardown()", error)
            return self._broken("teardown()", error)
        return None

    def _broken(self, method: str, error: BaseException) -> BrokenWorker:
        return BrokenWorker.by(self._config.name, self._config.source, method, error)


async def _done(method: str, outcome: object) -> None:
    """Wait for what *method* returned, if there is anything to wait for. Raises NothingRan for a generator."""
    if inspect.isawaitable(outcome):
        outcome = await outcome
    refuse_generator(method, outcome)
