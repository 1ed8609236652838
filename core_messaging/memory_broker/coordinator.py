"""Whether a group of the in-memory broker has a coordinator at the moment."""

from __future__ import annotations

import asyncio

from core_messaging.errors import BrokerError


class Coordinator:
    """The coordinator of one group. It can move to another broker, and until it is there the group has none."""

    def __init__(self) -> None:
        self._moving: asyncio.Future[None] | None = None

    @property
    def awaited(self) -> list[asyncio.Future[None]]:
        """What a rebalance has to wait for: a future that is done when there is a coordinator again, or nothing."""
        return [] if self._moving is None else [self._moving]

    def move(self, seconds: float) -> None:
        """Let the group be without a coordinator for *seconds*. Call it inside the event loop."""
        loop = asyncio.get_running_loop()
        self._moving = moving = loop.create_future()
        loop.call_later(seconds, self._moved, moving)

    def _moved(self, moving: asyncio.Future[None]) -> None:
        moving.set_result(None)
        if self._moving is moving:
            self._moving = None

    def check(self) -> None:
        """Raise BrokerError while the group has no coordinator."""
        if self._moving is not None:
            raise BrokerError("the coordinator of the group moves to another broker; commit again")
