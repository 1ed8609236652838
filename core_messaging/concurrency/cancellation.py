"""Whose cancellation is it? A handler may raise CancelledError, or be cancelled because the worker ends."""

from __future__ import annotations

import asyncio


def stopping_us(error: BaseException) -> bool:
    """Whether *error*, caught around a stranger's code, means that this task itself is being ended.

    A CancelledError that nobody asked this task for came out of the handler (a task of its own was cancelled);
    it is a failed attempt like any other.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return being_closed(error)


def being_closed(error: BaseException) -> bool:
    """Whether *error* is the interpreter closing our coroutine, which happens outside of any event loop. A handler may
    raise one as well."""
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is None
    except RuntimeError:  # no loop runs
        return True


def forget_cancellations() -> int:
    """This task goes on as if it had not been cancelled; how often it was."""
    task, count = asyncio.current_task(), 0
    while task is not None and task.cancelling():
        task.uncancel()
        count += 1
    return count


def sole_cause(error: BaseException) -> BaseException:
    """What the task group wrapped, if it was one thing: people read the cause, not the wrapping."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        inner: BaseException = error.exceptions[0]
        error = inner
    return error
