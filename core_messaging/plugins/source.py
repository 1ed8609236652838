"""The interface by which a runtime gets observers, brokers and codecs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from core_messaging.observers import Observers
from core_messaging.plugins.registrations import Registrations
from core_messaging.snapshot import HookCalls


class ObserverSource(Protocol):
    """Provides observers: the plugin manager, or a test."""

    def observers(self) -> Observers:
        """Return one function for each event; None where no plugin observes it."""
        ...

    def registrations(self) -> Registrations:
        """Return all brokers and codecs."""
        ...

    def calls(self) -> Sequence[HookCalls]:
        """Return how many times each implementation was called and failed."""
        ...

    async def serve(self, snapshot: Callable[[], Any]) -> None:
        """Call the hooks ``serve`` once, before workers start; an error stops the start.

        *snapshot* returns the current state of the workers.
        """
        ...

    async def close(self) -> None:
        """Close the plugins. Called once, when all workers have stopped; no event follows."""
        ...
