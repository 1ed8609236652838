"""Runs a coroutine in a context of its own without a task, so context variables of one message do not reach the next."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")


@types.coroutine
def within(
    context: Context, coroutine: Coroutine[Any, Any, Result], waits: Callable[[], object] | None = None
) -> Generator[Any, Any, Result]:
    """Await *coroutine*. Each of its steps reads and sets the variables of *context*.

    *waits* is called each time that the coroutine waits for something, before anything else can run.
    """
    run, step, argument = context.run, coroutine.send, None
    while True:
        try:
            waits_for = run(step, argument)
        except StopIteration as over:
            result: Result = over.value
            return result
        if waits is not None:
            waits()
        try:
            argument = yield waits_for
            step = coroutine.send
        except BaseException as error:
            step, argument = coroutine.throw, error


def driven_by(frame: FrameType) -> Coroutine[Any, Any, Any] | None:
    """The coroutine that ``within`` awaits, if *frame* is one of its frames: Python does not tell it."""
    found = frame.f_locals.get("coroutine") if frame.f_code is within.__code__ else None
    return found if inspect.iscoroutine(found) else None
