"""Lets a ``sys.exit()`` in a task of a handler fail that task, instead of the event loop.

asyncio passes a SystemExit or KeyboardInterrupt of any task out of ``run_forever``. Below ``gather``, ``wait_for`` or a
``TaskGroup``, it ends the process with its code, which may be 0, and no line says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from core_messaging.errors import HandlerExit, text_of
from core_messaging.logs.tracebacks import exc_info_of

logger = logging.getLogger("core_messaging.worker")

# Tasks of these packages are not of a handler. They are not wrapped, and cost nothing more.
_NOT_WRAPPED = ("core_messaging", "aiokafka", "asyncio")

_Factory = Callable[..., Any]


class _Contained(Coroutine[Any, Any, Any]):
    """Runs *inner* and turns its exit into a HandlerExit.

    It is no coroutine function: a coroutine that never started would leave *inner* without an await.
    """

    __slots__ = ("__weakref__", "_inner")

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner

    def send(self, value: Any) -> Any:
        try:
            return self._inner.send(value)
        # A GeneratorExit would close the coroutine that awaits this one, and no one else would see it.
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            raise HandlerExit(error) from error

    def throw(self, *error: Any) -> Any:
        try:
            return self._inner.throw(*error)
        except (SystemExit, KeyboardInterrupt) as exit_:
            raise HandlerExit(exit_) from exit_

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # the repr of a task reads attributes of its coroutine


class _Containment:
    """The task factory of one event loop; it wraps the coroutine and calls the loop's own factory."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._replaced = loop.get_task_factory()
        self._make: _Factory = self._replaced or _plain_task
        self._users = 0

    def enter(self) -> None:
        """Install the task factory at the first call."""
        self._users += 1
        if self._users == 1:
            self._loop.set_task_factory(self._task)

    def leave(self) -> bool:
        """Remove the task factory at the last call. Return whether this was the last one."""
        self._users -= 1
        if not self._users and self._loop.get_task_factory() == self._task:
            self._loop.set_task_factory(self._replaced)
        return not self._users

    def _task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if not _home_of(coroutine).startswith(_NOT_WRAPPED):
            coroutine = _Contained(coroutine)
        return self._make(loop, coroutine, **options)


def _plain_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(coroutine, loop=loop, **options)


def _home_of(coroutine: Any) -> str:
    """Return the name of the module of *coroutine*; "" if it has none."""
    frame = getattr(coroutine, "cr_frame", None)
    return "" if frame is None else str(frame.f_globals.get("__name__", ""))


_containments: WeakKeyDictionary[asyncio.AbstractEventLoop, _Containment] = WeakKeyDictionary()


@contextmanager
def exits_contained(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let a task of *loop* that raises SystemExit or KeyboardInterrupt in this block fail with HandlerExit."""
    containment = _containments.get(loop)
    if containment is None:
        containment = _containments[loop] = _Containment(loop)
    containment.enter()
    try:
        yield
    finally:
        if containment.leave():
            _containments.pop(loop, None)


def run_to_its_end(main: Coroutine[Any, Any, None], make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Run *main* as ``asyncio.run`` does, on a loop of *make*. A SystemExit in a callback of the loop does not end it."""
    with asyncio.Runner(loop_factory=make) as runner:
        loop = runner.get_loop()
        asyncio.set_event_loop(loop)  # as asyncio.Runner.run does
        task = loop.create_task(main)
        while True:
            try:
                loop.run_until_complete(task)
            except SystemExit as error:
                if task.done():
                    raise
                _log_ignored(error)
            else:
                return


def _log_ignored(error: SystemExit) -> None:
    logger.error(
        "a callback of the event loop raised SystemExit(%s), which is ignored; the workers go on. Raise another "
        "error there, or stop this process with SIGTERM",
        text_of(error),
        exc_info=exc_info_of(error),
        extra={"action": "exit ignored"},
    )
