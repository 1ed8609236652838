"""The connection of a producer: the first task that sends opens it; closing waits for tasks that still send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from types import TracebackType

from core_messaging.broker import Publisher

CLOSE_TIMEOUT = 10.0  # seconds that closing waits for tasks that send


class Connection:
    """Provides the publisher inside ``async with``; connects at the first use.

    *make* returns a publisher that is not started. *forgotten* is called if the event loop ends before ``close``.
    """

    def __init__(self, make: Callable[[], Publisher], forgotten: Callable[[], None]) -> None:
        self._make = make
        self._forgotten = forgotten
        self._publisher: Publisher | None = None
        self._starting = asyncio.Lock()
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._loop_end_hook: AsyncGenerator[None, None] | None = None

    async def __aenter__(self) -> Publisher:
        """Return the started publisher. Raises what ``Publisher.start`` raises."""
        self._users += 1
        self._unused.clear()
        if self._publisher is not None:
            return self._publisher
        try:
            async with self._starting:
                return self._publisher or await self._start()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            self._unused.set()

    async def _start(self) -> Publisher:
        publisher = self._make()
        await publisher.start()
        self._publisher = publisher
        # The event loop closes its async generators when it ends. So a connection that was not closed is closed then.
        self._loop_end_hook = _close_at_loop_end(self)
        await anext(self._loop_end_hook)
        return publisher

    @property
    def is_connected(self) -> bool:
        """Whether the publisher is started."""
        return self._publisher is not None

    async def close(self) -> None:
        """Disconnect when all tasks that send have their answers, after CLOSE_TIMEOUT seconds at most. Safe to repeat."""
        if self._users:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._unused.wait()
        hook, self._loop_end_hook = self._loop_end_hook, None
        await self._disconnect()
        if hook is not None:
            await hook.aclose()

    async def end_with_the_loop(self) -> None:
        """Disconnect because the event loop ends. Its tasks are cancelled by then, so none sends."""
        if self._publisher is not None:
            await self._disconnect()
            self._forgotten()

    async def _disconnect(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()


async def _close_at_loop_end(connection: Connection) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await connection.end_with_the_loop()
