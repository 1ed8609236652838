"""One connection of a producer: made by the first who sends, and closed under nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from types import TracebackType

from core_messaging.broker import Publisher

PATIENCE = 10.0  # seconds that closing waits for those who send


class Connection:
    """``async with`` it for as long as something is sent; it connects at the first time.

    *make*: a publisher that is not started. *forgotten* is called where the event loop ends before ``close``.
    """

    def __init__(self, make: Callable[[], Publisher], forgotten: Callable[[], None]) -> None:
        self._make = make
        self._forgotten = forgotten
        self._publisher: Publisher | None = None
        self._starting = asyncio.Lock()
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._lasting: AsyncGenerator[None, None] | None = None

    async def __aenter__(self) -> Publisher:
        """Raises what ``Publisher.start`` raises."""
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
        # The loop closes its async generators when it ends, and so whatever nobody has closed.
        self._lasting = _until_the_end(self)
        await anext(self._lasting)
        return publisher

    @property
    def is_connected(self) -> bool:
        """Whether there is something to close."""
        return self._publisher is not None

    async def close(self) -> None:
        """Disconnect when those who send have had their answers, PATIENCE seconds at most."""
        if self._users:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._unused.wait()
        lasting, self._lasting = self._lasting, None
        await self._disconnect()
        if lasting is not None:
            await lasting.aclose()

    async def end_with_the_loop(self) -> None:
        """The event loop ends: its tasks are cancelled already, so nobody sends."""
        if self._publisher is not None:
            await self._disconnect()
            self._forgotten()

    async def _disconnect(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()


async def _until_the_end(connection: Connection) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await connection.end_with_the_loop()
