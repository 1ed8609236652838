"""Decides when batches are sent to a broker.

The client has one request under way to each broker. A batch that is closed during that time waits for the next request,
and records that are published meanwhile miss it, although they would fit. So batches are closed when the broker has
answered the request, all batches for one broker together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from enum import Enum, auto

# Passes of the event loop to wait after an answer. In these passes, the tasks that waited for the answer wake, and publish
# their next records. Without the wait, each request would carry half of the records, and
# the next request the other half, for as long as they publish.
PASSES = 3

# So many waiting records are sent at once: while the broker stores them, the answers of others bring as many new ones.
ENOUGH_RECORDS = 100

# Seconds to wait for the answer of a batch before the others are sent without it. The client may send one batch again and
# again (its leader moves, too few replicas are in sync), and the others must not wait for it.
ANSWER_TIMEOUT = 0.1


class _State(Enum):
    FREE = auto()
    ABOUT_TO_SEND = auto()  # batches that arrive meanwhile are sent too
    SENT = auto()


class RequestPacer:
    """Decides when batches are sent to one broker."""

    def __init__(self) -> None:
        self._state = _State.FREE
        self._waiting: list[tuple[asyncio.Future[None], Sized]] = []
        self._request = 0  # number of the latest request

    @asynccontextmanager
    async def turn(self, records: Sized) -> AsyncIterator[None]:
        """Enter the block when the broker has answered the request under way.

        In the block, the caller sends a batch of *records* and waits for its answer.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append((waiter, records))
        if self._state is _State.FREE:
            self._state = _State.ABOUT_TO_SEND
            loop.call_soon(self._send)
        await waiter
        request = self._request
        try:
            yield
        finally:
            self._answered(request)

    def _answered(self, request: int) -> None:
        """Send the next request, because a batch of *request* is answered.

        Then all batches of the request are answered, or the client sends them again on their own.
        """
        if self._state is _State.SENT and request == self._request:
            self._state = _State.ABOUT_TO_SEND
            self._send_after(PASSES)

    def _send_after(self, passes: int) -> None:
        if passes and sum(len(records) for _, records in self._waiting) < ENOUGH_RECORDS:
            asyncio.get_running_loop().call_soon(self._send_after, passes - 1)
        else:
            self._send()

    def _send(self) -> None:
        """Let all waiting batches go in one pass of the event loop, before the client builds its next request."""
        waiters = [waiter for waiter, _ in self._waiting if not waiter.done()]
        self._waiting.clear()
        if not waiters:
            self._state = _State.FREE
            return
        self._state = _State.SENT
        self._request += 1
        for waiter in waiters:
            waiter.set_result(None)
        asyncio.get_running_loop().call_later(ANSWER_TIMEOUT, self._answered, self._request)
