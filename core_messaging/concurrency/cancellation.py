"""Tells whether a CancelledError ends this task, or came out of the handler like any other error."""

from __future__ import annotations

import asyncio


def stopping_us(error: BaseException) -> bool:
    """Whether *error*, caught around a call of other code, means that this task itself is being cancelled.

    If nobody has cancelled this task, the CancelledError came out of the handler (a task of its own was cancelled). Then it
    is a failed attempt like any other.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return being_closed(error)


def being_closed(error: BaseException) -> bool:
    """Whether *error* is a GeneratorExit by which the interpreter closes this coroutine, outside of any event loop.

    A handler may raise a GeneratorExit as well.
    """
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is None
    except RuntimeError:  # no loop runs
        return True


def forget_cancellations() -> int:
    """Let this task go on as if it had not been cancelled. Return how many times it was."""
    task, count = asyncio.current_task(), 0
    while task is not None and task.cancelling():
        task.uncancel()
        count += 1
    return count


def sole_cause(error: BaseException) -> BaseException:
    """Return the one error inside an exception group, also inside nested ones; else *error* itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        inner: BaseException = error.exceptions[0]
        error = inner
    return error
