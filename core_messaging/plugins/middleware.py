"""Calls the hooks that are not isolated (``serve``, ``wrap_process``), counted and timed like the others."""

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
    """One call under way. ``inside``: seconds of it that were spent in what it wraps; ``error``: what it raised itself."""

    __slots__ = ("error", "inside")

    def __init__(self) -> None:
        self.inside = 0.0
        self.error: BaseException | None = None


class Plain:
    """One plugin's function for a hook that is not isolated, with its record of calls, time and failures."""

    __slots__ = ("arguments", "calls", "failures", "function", "plugin_name", "seconds")

    def __init__(self, plugin_name: str, function: Callable[..., Any]) -> None:
        self.plugin_name = plugin_name
        self.arguments, self.function = positional(function)
        self.calls = 0
        self.failures = 0
        self.seconds = 0.0

    @contextmanager
    def counted(self) -> Iterator[Call]:
        """Around one call: what it takes counts as the hook's own time, without what it wraps."""
        self.calls += 1
        call, started = Call(), monotonic()
        try:
            yield call
        finally:
            self.failures += call.error is not None
            # Calls of what it wraps may run side by side, and then they take longer than the whole.
            self.seconds += max(0.0, monotonic() - started - call.inside)


def wrap_all(implementations: Sequence[Plain | pluggy.HookImpl]) -> Wrap | None:
    """One middleware out of all: the one registered first is the outermost. None where there is none."""
    if not implementations:
        return None
    hooks = [
        each if isinstance(each, Plain) else Plain(each.plugin_name, each.function)
        for each in reversed(implementations)
    ]

    async def wrap(process: Callable[..., Awaitable[Any]], worker: Any, message: Any, context: Any) -> Any:
        call = process
        for hook in hooks:
            call = _around(hook, call, worker)
        return await call(message, context)

    return wrap


def _around(
    hook: Plain, call_next: Callable[..., Awaitable[Any]], worker: Any
) -> Callable[..., Awaitable[Any]]:
    async def call(message: Any, context: Any) -> Any:
        with hook.counted() as mine:
            handed_on: list[BaseException] = []
            facts = {
                "call_next": _timed(call_next, mine, handed_on),
                "worker": worker,
                "message": message,
                "context": context,
            }
            try:
                return await hook.function(*[facts[name] for name in hook.arguments])
            except BaseException as error:
                # The message's own error passes through, and a cancellation comes from outside.
                if error not in handed_on and not isinstance(error, CancelledError):
                    mine.error = error
                raise
            finally:
                handed_on.clear()  # an error holds its frames, and they would hold the error

    return call


def _timed(
    call_next: Callable[..., Awaitable[Any]], mine: Call, handed_on: list[BaseException]
) -> Callable[..., Awaitable[Any]]:
    async def call(message: Any, context: Any) -> Any:
        started = monotonic()
        try:
            return await call_next(message, context)
        except BaseException as error:
            handed_on.append(error)
            raise
        finally:
            mine.inside += monotonic() - started

    return call
