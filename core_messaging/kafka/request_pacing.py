"""Whose turn it is to send to a broker.

The client has one request under way to each broker, so a batch that is closed while one is only waits for the next; what
is published meanwhile would have fitted into it. So batches are closed when the request is answered, all of one broker
together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from enum import Enum, auto

# Passes of the event loop from an answer to what it brings: whoever waited for it is woken, publishes again, and the
# outbox of that is woken. To go without them is to go with half a request, and they with the other half, for ever.
PASSES = 3

# Records worth a request of their own: while a broker stores so many, as many come to be from the answers of others.
ENOUGH = 100

# Seconds that a batch may be unanswered before the others go without it: one that the client tries again and again (its
# leader moves, too few replicas are in sync) holds nobody up.
PATIENCE = 0.1


class _State(Enum):
    FREE = auto()
    ABOUT_TO_SEND = auto()  # those who come meanwhile go too
    SENT = auto()


class Turn:
    """The turn of one broker."""

    def __init__(self) -> None:
        self._state = _State.FREE
        self._waiting: list[tuple[asyncio.Future[None], Sized]] = []
        self._request = 0  # number of the latest

    @asynccontextmanager
    async def taken(self, records: Sized) -> AsyncIterator[None]:
        """Begins when the broker has answered what is under way; in the block, send a batch of *records* and wait for
        its answer."""
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
        """A batch of *request* is answered; they all are, then, or are tried again on their own."""
        if self._state is _State.SENT and request == self._request:
            self._state = _State.ABOUT_TO_SEND
            self._send_after(PASSES)

    def _send_after(self, passes: int) -> None:
        if passes and sum(len(records) for _, records in self._waiting) < ENOUGH:
            asyncio.get_running_loop().call_soon(self._send_after, passes - 1)
        else:
            self._send()

    def _send(self) -> None:
        """All who wait go together: they are woken in one pass, before the client looks what there is to send."""
        going = [waiter for waiter, _ in self._waiting if not waiter.done()]
        self._waiting.clear()
        if not going:
            self._state = _State.FREE
            return
        self._state = _State.SENT
        self._request += 1
        for waiter in going:
            waiter.set_result(None)
        asyncio.get_running_loop().call_later(PATIENCE, self._answered, self._request)
