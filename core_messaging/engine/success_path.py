"""What follows when a handler has returned: the hooks are called, and the message is finished."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from core_messaging.context import Context
from core_messaging.engine.callbacks import Callbacks
from core_messaging.engine.components import Components
from core_messaging.engine.handler import Call
from core_messaging.rules.assignment import FENCED
from core_messaging.rules.job import Job

# Settles a message whose handler has returned: (job, message, result, context). It returns what is left to wait for.
# Usually that is None, so no coroutine is made for the message.
Succeeded = Callable[[Job, Any, Any, Context | None], Awaitable[None] | None]


class SuccessPath:
    """Calls ``on_success`` of the worker and of the plugins, and finishes the message.

    ``finish`` does that. ``has_hooks``: whether there is any ``on_success``. ``needs_no_job``: the hooks ask for the message and
    its result at most. ``told``: ``on_success`` of the plugins.
    """

    def __init__(self, components: Components, callbacks: Callbacks) -> None:
        self.config = components.config
        self._handler = components.handler
        self._schedule = components.schedule
        self._counters = components.counters
        self._callbacks = callbacks
        own, self.told = components.handler.on_success, components.observers.on_success
        self._plugins_want_context = components.observers.success_wants_context
        self.has_hooks = own is not None or self.told is not None
        self.needs_no_job = own is None and not (self.told is not None and self._plugins_want_context)
        # Without hooks, one call less for each message.
        with_hooks = self._tell_plugins if own is None else partial(self._call_own, own)
        self.finish: Succeeded = with_hooks if self.has_hooks else self._finish

    def _finish(self, job: Job, _message: Any, _result: Any, _context: Context | None) -> None:
        if self._schedule.finish(job):
            self._counters.succeeded += 1
        else:
            self._counters.dropped += 1

    async def _call_own(
        self, own: Call, job: Job, message: Any, result: Any, context: Context | None
    ) -> None:
        """Call ``on_success`` of the worker, then go on with the plugins."""
        if job.assignment.state is not FENCED:
            await self._callbacks.call_own("on_success", own, job, message, result, context)
        pending = self._tell_plugins(job, message, result, context)
        if pending is not None:
            await pending

    def _tell_plugins(
        self, job: Job, message: Any, result: Any, context: Context | None
    ) -> Awaitable[None] | None:
        """Call ``on_success`` of the plugins, then finish."""
        if job.assignment.state is FENCED:
            self._counters.dropped += 1
            return None
        if self.told is not None:
            if context is None and self._plugins_want_context:
                context = self._callbacks.context(job)
            pending = self.told(worker=self.config, message=message, result=result, context=context)
            if pending is not None:
                return self.finish_after(pending, job)
        self._counters.succeeded += 1
        self._schedule.finish(job)
        return None

    async def finish_after(self, pending: Awaitable[None], job: Job) -> None:
        """Wait for hooks that are *pending*, then finish *job*."""
        await pending
        self._finish(job, None, None, None)
