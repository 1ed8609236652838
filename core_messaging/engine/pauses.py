"""Partitions that a person has paused, and the pause that a worker makes itself, as one worker sees them."""

from __future__ import annotations

from typing import Protocol

from core_messaging.records import TopicPartition


class Pauses(Protocol):
    """What the control topic says."""

    def is_paused(self, group_id: str, source: TopicPartition) -> bool:
        """Whether *source* of *group_id* is paused. Asked for each partition before each fetch."""
        ...

    def reason(self, group_id: str, source: TopicPartition) -> str:
        """Who has paused *source* of *group_id*, in words; empty: nobody."""
        ...


class NoPauses:
    """Where there is no control topic."""

    def is_paused(self, group_id: str, source: TopicPartition) -> bool:  # noqa: ARG002 - as the protocol says
        """Nobody has paused anything."""
        return False

    def reason(self, group_id: str, source: TopicPartition) -> str:  # noqa: ARG002 - as the protocol says
        """Nobody has paused anything."""
        return ""


class OwnPause:
    """The pause of a worker that reached its ``dlq_limit``. ``reason`` is empty while it has none."""

    def __init__(self) -> None:
        self.reason = ""

    @property
    def is_on(self) -> bool:
        """Whether the worker has paused itself."""
        return bool(self.reason)

    def begin(self, reason: str) -> None:
        """Fetch nothing more, because of *reason*."""
        self.reason = reason

    def end(self) -> None:
        """Go on."""
        self.reason = ""
