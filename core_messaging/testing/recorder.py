"""Plugins of the testing kit: one records what becomes of messages, another records the calls of a plugin under test."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from core_messaging.config import WorkerConfig
from core_messaging.context import Context
from core_messaging.errors import RetryAfter
from core_messaging.plugins.hook_check import check
from core_messaging.plugins.hookspecs import PROJECT, hookimpl
from core_messaging.testing.outcome import Failure, HookCall, Retry, Success


class Recorder:
    """Records what became of each message. *config*: the configuration of the worker, with its real delays."""

    def __init__(self, config: WorkerConfig) -> None:
        self._policy = config.retry_policy
        self.successes: list[Success] = []
        self.retries: list[Retry] = []
        self.failures: list[Failure] = []
        self.dead_lettered: dict[str, Exception] = {}

    def settled(self) -> set[str]:
        """Return the coordinates of the messages that are finished or have failed for good."""
        done = {success.coordinates for success in self.successes}
        return done | {failure.coordinates for failure in self.failures}

    @hookimpl
    def on_success(self, message: Any, result: Any, context: Context) -> None:
        """Record a finished message."""
        self.successes.append(Success(context.coordinates, message, result, context.attempt))

    @hookimpl
    def on_retry(self, error: Exception, context: Context, delay: float) -> None:
        """Record a failed attempt that is followed by another one."""
        # Where the test leaves delays out, record the delay that the worker would have had.
        if delay == 0 and not isinstance(error, RetryAfter):
            delay = self._policy.delay(context.attempt)
        self.retries.append(Retry(context.coordinates, context.attempt, error, delay))

    @hookimpl
    def on_error(self, error: Exception, context: Context) -> None:
        """Record a message that has failed for good."""
        self.failures.append(Failure(context.coordinates, error, context.attempt))

    @hookimpl
    def on_dead_letter(self, error: Exception, context: Context) -> None:
        """Record the error of a dead letter."""
        self.dead_lettered[context.coordinates] = error


class NoHooks:
    """A plugin without hooks. ``watched`` gives it hooks that record their calls."""


def watched(plugin: Any, calls: list[HookCall]) -> Any:
    """Return a plugin that does the same as *plugin* and adds each call to *calls*. Raises PluginError, Incompatible."""
    stand_in: Any = NoHooks()
    for hook in check(plugin):
        setattr(stand_in, hook, _watched(hook, getattr(plugin, hook), calls))
    if hasattr(plugin, "close"):
        stand_in.close = plugin.close
    return stand_in


def _watched(hook: str, function: Callable[..., Any], calls: list[HookCall]) -> Callable[..., Any]:
    names = tuple(inspect.signature(function).parameters)

    def begin(facts: tuple[Any, ...], named: dict[str, Any]) -> HookCall:
        call = HookCall(hook, {**dict(zip(names, facts, strict=False)), **named})
        calls.append(call)
        return call

    @functools.wraps(function)
    def plain(*facts: Any, **named: Any) -> Any:
        call = begin(facts, named)
        try:
            return function(*facts, **named)
        except BaseException as error:
            call.error = error
            raise

    @functools.wraps(function)
    async def awaited(*facts: Any, **named: Any) -> Any:
        call = begin(facts, named)
        try:
            return await function(*facts, **named)
        except BaseException as error:
            call.error = error
            raise

    found = awaited if inspect.iscoroutinefunction(function) else plain
    # The mark is copied: a bound method has its attributes on its function.
    setattr(found, f"{PROJECT}_impl", getattr(function, f"{PROJECT}_impl"))
    return found
