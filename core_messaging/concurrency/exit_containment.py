"""A handler's ``sys.exit()`` in a task of its own fails that task, and not the event loop.

asyncio lets a SystemExit or KeyboardInterrupt of any task out of ``run_forever``: below ``gather``, ``wait_for`` or a
``TaskGroup`` it ends the process with its code, which may be 0, and no line says why.
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

# Their tasks are not a handler's, and cost nothing more.
_WITHOUT = ("core_messaging", "aiokafka", "asyncio")

_Factory = Callable[..., Any]


class _Contained(Coroutine[Any, Any, Any]):
    """*inner*, whose exit is an error. No coroutine function: one that never began would leave *inner* unawaited."""

    __slots__ = ("__weakref__", "_inner")

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner

    def send(self, value: Any) -> Any:
        try:
            return self._inner.send(value)
        # A GeneratorExit closes the coroutine that waits for it, and reaches nobody else.
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
        return getattr(self._inner, name)  # who describes a task looks at its coroutine


class _Containment:
    """The task factory of one event loop, in front of the loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._before = loop.get_task_factory()
        self._make: _Factory = self._before or _plain_task
        self._users = 0

    def enter(self) -> None:
        self._users += 1
        if self._users == 1:
            self._loop.set_task_factory(self._task)

    def leave(self) -> bool:
        """Whether nobody needs it any more."""
        self._users -= 1
        if not self._users and self._loop.get_task_factory() == self._task:
            self._loop.set_task_factory(self._before)
        return not self._users

    def _task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if not _home_of(coroutine).startswith(_WITHOUT):
            coroutine = _Contained(coroutine)
        return self._make(loop, coroutine, **options)


def _plain_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(coroutine, loop=loop, **options)


def _home_of(coroutine: Any) -> str:
    """The module of *coroutine*; empty where it has none."""
    frame = getattr(coroutine, "cr_frame", None)
    return "" if frame is None else str(frame.f_globals.get("__name__", ""))


_containments: WeakKeyDictionary[asyncio.AbstractEventLoop, _Containment] = WeakKeyDictionary()


@contextmanager
def exits_contained(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Inside, a task of *loop* that raises SystemExit or KeyboardInterrupt fails with HandlerExit."""
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
    """``asyncio.run`` on a loop of *make*, which a SystemExit in a callback (``call_later``, say) does not end."""
    with asyncio.Runner(loop_factory=make) as runner:
        loop = runner.get_loop()
        asyncio.set_event_loop(loop)  # as the runner does it
        task = loop.create_task(main)
        while True:
            try:
                loop.run_until_complete(task)
            except SystemExit as error:
                if task.done():
                    raise
                _say_ignored(error)
            else:
                return


def _say_ignored(error: SystemExit) -> None:
    logger.error(
        "a callback of the event loop raised SystemExit(%s), which is ignored; the workers go on. Raise another "
        "error there, or stop this process by SIGTERM",
        text_of(error),
        exc_info=exc_info_of(error),
        extra={"action": "exit ignored"},
    )
