"""Whose cancellation is it? A handler may raise CancelledError, or be cancelled because the worker ends."""

from __future__ import annotations

import asyncio


def stopping_us(error: BaseException) -> bool:
    """Whether *error*, caught around a stranger's code, means that this task itself is being ended.

    A CancelledError that nobody asked this task for came out of the handler (a task of its own was cancelled);
    it is a failed attempt like any other. GeneratorExit is the interpreter closing our coroutine.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, GeneratorExit)
