"""Calls the hooks that are not isolated (``serve``, ``wrap_process``), and counts and times them like the others."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pluggy

from core_messaging.observers import Wrap
from core_messaging.plugins.hook_check import positional


class Call:
    """One running call. ``inside``: seconds spent in what it wraps. ``error``: what the hook itself raised, or None."""

    __slots__ = ("error", "inside")

    def __init__(self) -> None:
        self.inside = 0.0
        self.error: BaseException | None = None


class DirectHook:
    """One plugin's function for a hook that is not isolated, with its number of calls and failures and its seconds."""

    __slots__ = ("arguments", "calls", "failures", "function", "plugin_name", "seconds")

    def __init__(self, plugin_name: str, function: Callable[..., Any]) -> None:
        self.plugin_name = plugin_name
        self.arguments, self.function = positional(function)
        self.calls = 0
        self.failures = 0
        self.seconds = 0.0

    @contextmanager
    def counted(self) -> Iterator[Call]:
        """Count the call in this block, and add its seconds without those of what it wraps."""
        self.calls += 1
        call, started = Call(), monotonic()
        try:
            yield call
        finally:
            self.failures += call.error is not None
            # What it wraps may be called several times at once. Then these calls together take longer than the whole.
            self.seconds += max(0.0, monotonic() - started - call.inside)


def wrap_all(implementations: Sequence[DirectHook | pluggy.HookImpl]) -> Wrap | None:
    """Return one middleware made of all: the one registered first is the outermost. None if there are none."""
    if not implementations:
        return None
    hooks = [
        each if isinstance(each, DirectHook) else DirectHook(each.plugin_name, each.function)
        for each in reversed(implementations)
    ]

    async def wrap(process: Callable[..., Awaitable[Any]], worker: Any, message: Any, context: Any) -> Any:
        call = process
        for hook in hooks:
            call = _around(hook, call, worker)
        return await call(message, context)

    return wrap


def _around(
    hook: DirectHook, call_next: Callable[..., Awaitable[Any]], worker: Any
) -> Callable[..., Awaitable[Any]]:
    async def call(message: Any, context: Any) -> Any:
        with hook.counted() as current:
            passed_on: list[BaseException] = []
            facts = {
                "call_next": _timed(call_next, current, passed_on),
                "worker": worker,
                "message": message,
                "context": context,
            }
            try:
                return await hook.function(*[facts[name] for name in hook.arguments])
            except BaseException as error:
                # The error of the handler only passes through, and a cancellation comes from outside.
                if error not in passed_on and not isinstance(error, CancelledError):
                    current.error = error
                raise
            finally:
                passed_on.clear()  # else error and frames hold each other: the frames of the error hold this list

    return call


def _timed(
    call_next: Callable[..., Awaitable[Any]], current: Call, passed_on: list[BaseException]
) -> Callable[..., Awaitable[Any]]:
    async def call(message: Any, context: Any) -> Any:
        started = monotonic()
        try:
            return await call_next(message, context)
        except BaseException as error:
            passed_on.append(error)
            raise
        finally:
            current.inside += monotonic() - started

    return call
