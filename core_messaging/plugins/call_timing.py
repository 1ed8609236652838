"""Measures hook calls: keeps the times of calls while plugins are loaded, logs those of calls while workers run."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

logger = logging.getLogger("core_messaging.plugins")


@contextmanager
def clocked(took: dict[str, float], hook: str) -> Iterator[None]:
    """Add the seconds of the block to ``took[hook]``, also if it raises."""
    started = perf_counter()
    try:
        yield
    finally:
        took[hook] = took.get(hook, 0.0) + perf_counter() - started


def traced(
    plugin: str, hook: str, arguments: Sequence[str], function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return *function* with a log line for each call. A wrapper, so calls that are not traced cost nothing more."""

    def call(*facts: Any) -> Any:
        started = perf_counter()
        try:
            outcome = function(*facts)
        except BaseException as error:
            log_call(plugin, hook, arguments, perf_counter() - started, error)
            raise
        if inspect.isawaitable(outcome):
            return log_when_done(outcome, started)
        log_call(plugin, hook, arguments, perf_counter() - started)
        return outcome

    async def log_when_done(outcome: Awaitable[Any], started: float) -> Any:
        error: BaseException | None = None
        try:
            return await outcome
        except BaseException as raised:
            error = raised
            raise
        finally:
            log_call(plugin, hook, arguments, perf_counter() - started, error)

    return call


def log_call(
    plugin: str, hook: str, arguments: Sequence[str], seconds: float, error: BaseException | None = None
) -> None:
    """Log one call of one hook, which took *seconds* and may have raised *error*."""
    logger.info(
        "plugin %s: %s(%s) took %.3f ms%s",
        plugin,
        hook,
        ", ".join(arguments),
        1000 * seconds,
        f" and raised {type(error).__name__}" if error is not None else "",
        extra={"plugin": plugin, "action": "hook called"},
    )
