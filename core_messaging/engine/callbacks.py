"""Tells the worker's own callbacks, and plugins, what became of a message. Nothing they do changes it."""

from __future__ import annotations

from typing import Any

from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.context import Context
from core_messaging.engine.components import Components
from core_messaging.engine.handler import Call
from core_messaging.engine.message_logger import MessageLogger, attempts_made
from core_messaging.observers import tell
from core_messaging.rules.job import Job


class MessageHooks:
    """One worker's."""

    def __init__(self, components: Components, message_logger: MessageLogger) -> None:
        self._config = components.config
        self._handler = components.handler
        self._observers = components.observers
        self._counters = components.counters
        self._clock = components.loop.time
        self._remarks = message_logger

    async def call_own(
        self, name: str, own: Call, job: Job, first: Any, second: Any, context: Context | None
    ) -> None:
        """The worker's own callback *name*. Its failure is logged and counted; it never changes the verdict."""
        if context is None and self._handler.wants_context:
            context = self.context(job)
        try:
            await own(first, second, context)
        except BaseException as error:
            if stopping_us(error):
                raise
            self._counters.hook_errors += 1
            self._remarks.callback_raised(name, job, error)

    async def own_undecodable(self, job: Job, error: BaseException) -> None:
        """The worker's ``on_undecodable``."""
        if (own := self._handler.on_undecodable) is not None:
            context = self.context_after(job, error)
            await self.call_own("on_undecodable", own, job, job.record.value, error, context)

    async def own_error(self, job: Job, message: Any, error: BaseException, context: Context | None) -> None:
        """The worker's ``on_error``."""
        if (own := self._handler.on_error) is not None:
            await self.call_own(
                "on_error", own, job, message, error, context or self.context_after(job, error)
            )

    async def retry(
        self, job: Job, message: Any, error: BaseException, context: Context | None, delay: float
    ) -> None:
        """The plugins' ``on_retry``: another attempt follows in *delay* seconds."""
        if (told := self._observers.on_retry) is not None:
            facts = {"message": message, "error": error, "context": context or self.context(job)}
            await tell(told, worker=self._config, delay=delay, **facts)

    async def error(self, job: Job, message: Any, error: BaseException, context: Context | None) -> None:
        """The plugins' ``on_error``."""
        if (told := self._observers.on_error) is not None:
            context = context or self.context_after(job, error)
            await tell(told, worker=self._config, message=message, error=error, context=context)

    async def dead_letter(self, job: Job, error: BaseException, topic: str) -> None:
        """The plugins' ``on_dead_letter``."""
        if (told := self._observers.on_dead_letter) is not None:
            context = self.context_after(job, error)
            await tell(told, worker=self._config, error=error, context=context, topic=topic)

    def context_after(self, job: Job, error: BaseException) -> Context:
        """Of a message that is given up: ``attempt`` is that of its last one, 0 where nothing was tried."""
        return self.context(job, attempts_made(job, error))

    def context(self, job: Job, attempt: int | None = None) -> Context:
        """What a handler or hook may ask about *job*."""
        timeout = self._config.timeout
        deadline = None if timeout is None else self._clock() + timeout
        number = job.attempt if attempt is None else attempt
        # Asked anew each time: a partition that comes straight back brings its job into another assignment.
        return Context(job.record, self._config.name, number, deadline, lambda: job.chunk.assignment.is_gone)
