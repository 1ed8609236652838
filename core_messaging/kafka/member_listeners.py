"""What the coordinator of a member tells: who has which partitions, and by which id the group knows the member."""

from __future__ import annotations

from typing import Any, Protocol

Partitions = frozenset[Any]  # the client's own named tuples


class AssignmentListener(Protocol):
    """Answers what the group decides. None of the methods raises."""

    async def on_assigned(self, added: Partitions) -> None:
        """Begin with *added*; called before a record of them can be returned, and also when nothing is added."""
        ...

    async def on_revoked(self, gone: Partitions) -> Partitions:
        """Finish and commit *gone*; return those that are given up. Cancelled when they are lost."""
        ...

    async def on_lost(self, lost: Partitions) -> None:
        """Drop *lost*: they may be somebody else's already."""
        ...

    def on_topic_gone(self, topic: str) -> None:
        """Forget where *topic* was read: one of this name that comes later is another topic."""
        ...

    def fail(self, error: Exception) -> None:
        """Take this member out of use because of *error*."""
        ...


class MemberRecord(Protocol):
    """Knows on this machine who the member is, for when it dies. None of the methods raises."""

    def note(self, member_id: str) -> None:
        """The member has this id from now on."""
        ...

    def refresh(self) -> None:
        """The member is alive; called with each heartbeat."""
        ...

    def clear(self) -> None:
        """The member has left its group."""
        ...
