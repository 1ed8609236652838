"""Calls the worker's own callbacks and the plugins' hooks about messages. Nothing they do changes a verdict."""

from __future__ import annotations

from typing import Any

from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.context import Context
from core_messaging.engine.components import Components
from core_messaging.engine.handler import Call
from core_messaging.engine.message_logger import MessageLogger
from core_messaging.observers import tell
from core_messaging.rules.assignment import FENCED
from core_messaging.rules.job import Job, attempts_made


class Callbacks:
    """The callbacks and hooks of one worker."""

    def __init__(self, components: Components, message_logger: MessageLogger) -> None:
        self._config = components.config
        self._handler = components.handler
        self._observers = components.observers
        self._counters = components.counters
        self._clock = components.loop.time
        self._message_logger = message_logger

    async def call_own(
        self, name: str, own: Call, job: Job, first: Any, second: Any, context: Context | None
    ) -> None:
        """Call *own*, the worker's callback *name*, with *first*, *second* and the context.

        Its failure is logged and counted.
        """
        if context is None and self._handler.wants_context:
            context = self.context(job)
        try:
            await own(first, second, context)
        except BaseException as error:
            if stopping_us(error):
                raise
            self._counters.hook_errors += 1
            self._message_logger.callback_raised(name, job, error)

    async def retry(
        self, job: Job, message: Any, error: BaseException, context: Context | None, delay: float
    ) -> None:
        """An attempt raised *error*, and another one follows in *delay* seconds: ``on_retry`` of the plugins."""
        if (told := self._observers.on_retry) is not None:
            facts = {"message": message, "error": error, "context": context or self.context(job)}
            await tell(told, worker=self._config, delay=delay, **facts)

    async def failed(self, job: Job, message: Any, error: BaseException, context: Context | None) -> None:
        """*job* is given up because of *error*: ``on_error`` of the worker, then of the plugins."""
        if (own := self._handler.on_error) is not None:
            after = context or self._context_after(job, error)
            await self.call_own("on_error", own, job, message, error, after)
        await self._tell_error(job, message, error, context)

    async def undecodable(self, job: Job, error: BaseException) -> None:
        """*job* cannot be decoded: ``on_undecodable`` of the worker, then ``on_error`` of the plugins."""
        if (own := self._handler.on_undecodable) is not None:
            context = self._context_after(job, error)
            await self.call_own("on_undecodable", own, job, job.record.value, error, context)
        await self._tell_error(job, None, error, None)

    async def failed_untried(self, job: Job, error: BaseException) -> None:
        """*job* is dead-lettered without an attempt because of *error*: ``on_error`` of the plugins."""
        await self._tell_error(job, None, error, None)

    async def _tell_error(
        self, job: Job, message: Any, error: BaseException, context: Context | None
    ) -> None:
        if (told := self._observers.on_error) is not None and job.assignment.state is not FENCED:
            context = context or self._context_after(job, error)
            await tell(told, worker=self._config, message=message, error=error, context=context)

    async def dead_lettered(self, job: Job, error: BaseException, topic: str) -> None:
        """*job* is in the dead-letter queue *topic*: ``on_dead_letter`` of the plugins."""
        if (told := self._observers.on_dead_letter) is not None:
            context = self._context_after(job, error)
            await tell(told, worker=self._config, error=error, context=context, topic=topic)

    def _context_after(self, job: Job, error: BaseException) -> Context:
        """For a message that is given up: ``attempt`` is the number of its last attempt, 0 if there was none."""
        return self.context(job, attempts_made(job, error))

    def context(self, job: Job, attempt: int | None = None) -> Context:
        """What a handler or a hook may ask about *job*."""
        timeout = self._config.timeout
        deadline = None if timeout is None else self._clock() + timeout
        number = job.attempt if attempt is None else attempt
        # Asked anew each time: a partition that comes straight back brings its job into another assignment.
        return Context(job.record, self._config.name, number, deadline, lambda: job.assignment.is_gone)
