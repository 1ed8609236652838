"""What this process does at this moment: its workers, tasks and threads. No value of a variable is in it."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from core_messaging.concurrency.message_context import driven_by
from core_messaging.text.printable import printable

DEEPEST = 60  # frames of one stack
NAMED = 5  # tasks with the same stack that are named
LONGEST_NAME = 120  # characters of the name of a task or a thread

# Where coroutines, generators and asynchronous generators have their frame, and what they await.
STEPS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))

Part = Callable[[], Sequence[str]]  # lines of one worker


def dump_of(workers: Sequence[Part], loop: asyncio.AbstractEventLoop) -> str:
    """Describe this process in lines. It changes nothing, and a part that cannot be read says so."""
    parts: list[Part] = [_head, *workers, lambda: list(_tasks(loop)), lambda: list(_threads())]
    return "\n".join(line for part in parts for line in _read(part))


def _read(part: Part) -> Sequence[str]:
    try:
        return part()
    except Exception as error:  # a signal may come while a part is being changed
        return [f"(a part cannot be read now: {type(error).__name__})"]


def _head() -> list[str]:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return [f"process {os.getpid()} at {now}, Python {platform.python_version()}"]


def _tasks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """Each task and where it waits. Tasks that wait at the same place are one entry: most runners wait for messages."""
    by_stack: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for task in asyncio.all_tasks(loop):
        by_stack[stack_of(task)].append(_named(task.get_name()))
    yield f"{sum(map(len, by_stack.values()))} tasks"
    for stack, names in sorted(by_stack.items(), key=lambda each: (len(each[1]), sorted(each[1]))):
        several = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"  {', '.join(sorted(names)[:NAMED])}{several}"
        yield from (f"    {line}" for line in stack)


def stack_of(task: asyncio.Task[Any]) -> tuple[str, ...]:
    """Where *task* stands, the outermost call first, and what it waits for at last."""
    found: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(found) < DEEPEST:
        frame, following = _step(awaited)
        if frame is None:
            break
        found.append(_place(frame))
        awaited = following
    return (*found, _waits_for(task))


def _step(awaited: Any) -> tuple[FrameType | None, Any]:
    """The frame of *awaited*, and what that awaits."""
    for frame_of, awaits in STEPS:  # by name: a task of ours may wrap the coroutine of its user
        frame = getattr(awaited, frame_of, None)
        if frame is not None:
            return frame, driven_by(frame) or getattr(awaited, awaits)
    return None, None


def _waits_for(task: asyncio.Task[Any]) -> str:
    waiter = getattr(task, "_fut_waiter", None)
    if isinstance(waiter, asyncio.Task):
        return f"waits for task {_named(waiter.get_name())}"
    return "runs, or is about to" if waiter is None else f"waits for a {type(waiter).__name__}"


def _threads() -> Iterator[str]:
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way
    names = {each.ident: each.name for each in threading.enumerate()}
    yield f"{len(frames)} threads"
    for ident, frame in frames.items():
        yield f"  {_named(names.get(ident, '?'))}"
        yield from (f"    {line}" for line in _stack_of_frame(frame))


def _stack_of_frame(innermost: FrameType) -> list[str]:
    found: list[str] = []
    frame: FrameType | None = innermost
    while frame is not None and len(found) < DEEPEST:
        found.append(_place(frame))
        frame = frame.f_back
    return found[::-1]


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"


def _named(name: str) -> str:
    return printable(name, LONGEST_NAME)
