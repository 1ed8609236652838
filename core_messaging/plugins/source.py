"""Where a runtime gets observers, brokers and codecs from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from core_messaging.observers import Observers
from core_messaging.plugins.registrations import Registrations
from core_messaging.snapshot import HookCalls


class ObserverSource(Protocol):
    """Where observers come from: the plugin manager, or a test."""

    def observers(self) -> Observers: ...
    def registrations(self) -> Registrations:
        """The brokers and codecs there are."""
        ...

    def calls(self) -> Sequence[HookCalls]:
        """How often each implementation was called and failed."""
        ...

    async def serve(self, snapshot: Callable[[], Any]) -> None:
        """*snapshot* tells the state of the moment. Called once, before workers start; an error stops the start."""
        ...

    async def close(self) -> None:
        """No event is told after this. Called once, when all workers have stopped."""
        ...
