"""What is known of crashes in one partition: owners that crashed, and the messages that are suspected."""

from __future__ import annotations

from core_messaging.rules.assignment_state import new_member
from core_messaging.rules.commit_metadata import PROVEN_AFTER, Ownership
from core_messaging.rules.crashed_owners import (
    PROOF,
    CrashedOwners,
    crashed_before,
    unchanged_ownership,
    working_ownership,
)


class CrashRecord:
    """Earlier owners of one partition that crashed, and what this member tells the next owner of it.

    - ``crashes``: how many owners in a row crashed without giving the partition back
    - ``suspected_offset``: the message that ran alone when the last of them crashed; None: no message did
    - ``isolated_offset``: the message that runs alone now, to find out which one ends the process; None: no message does
    - ``proven_from``: the offset from which on no message can have caused those crashes
    - ``solo_crashes``: how many owners in a row crashed while the suspected message was all that ran
    - ``is_announced``: the commit says that this member works on the partition
    """

    __slots__ = (
        "_announced_to",
        "_inherited",
        "_member",
        "_owners",
        "crashes",
        "is_announced",
        "isolated_offset",
        "proven_from",
        "solo_crashes",
        "suspected_offset",
    )

    def __init__(self, member: int | None = None, last: Ownership | None = None) -> None:
        """*member*: this process, by ``new_member``. *last*: what the commit says of the owner before, in absolute offsets."""
        self._member = member or new_member()
        self.is_announced = False
        self._announced_to: int | None = (
            None  # the commit says that no message from this offset on was started
        )
        self.proven_from = 0 if last is None else last.proven_from
        self.isolated_offset: int | None = None
        self._believe(CrashedOwners() if last is None else crashed_before(last, self._member))
        self.isolated_offset = self.suspected_offset

    def _believe(self, crashed: CrashedOwners) -> None:
        self.crashes, self._owners = crashed.crashes, crashed.owners
        self.suspected_offset, self.solo_crashes = crashed.suspected_offset, crashed.solo_crashes
        self._inherited = unchanged_ownership(crashed, self.proven_from)

    def restore(self, crashed: CrashedOwners) -> None:
        """This process had the partition until now, and knows better than the commit which owners *crashed*."""
        self._believe(crashed)
        self.isolated_offset = None

    @property
    def crashed_owners(self) -> CrashedOwners:
        """The owners that crashed, as the next owner is told of them."""
        return CrashedOwners(self.crashes, self._owners, self.suspected_offset, self.solo_crashes)

    def limit_to(self, limit: int) -> bool:
        """No message has the offset *limit* or a later one. False: the commit suspects such an offset; the suspicion is dropped."""
        self.proven_from = min(self.proven_from, limit + PROVEN_AFTER)
        if self.suspected_offset is None or self.suspected_offset < limit:
            return True
        self.suspected_offset, self.isolated_offset, self.solo_crashes = None, None, 0
        return False

    def is_poison(self, offset: int) -> bool:
        """Whether the message at *offset* ends processes: it was all that ran when several owners in a row crashed."""
        return offset == self.suspected_offset and self.solo_crashes >= PROOF

    def isolate(self, offset: int) -> None:
        """The message at *offset* is all that runs from now on."""
        self.isolated_offset = offset

    def end_isolation(self, offset: int) -> None:
        """The message at *offset* has run alone, and this process lives; or it is given up, and does not run."""
        self.isolated_offset = None
        if offset == self.suspected_offset:
            self.suspected_offset, self.solo_crashes = None, 0

    def forgive(self) -> None:
        """All messages that can have caused the crashes are finished."""
        self.crashes = 0

    def announce(self) -> bool:
        """This member begins to work on the partition. True for the first time: a commit must say so before."""
        first, self.is_announced = not self.is_announced, True
        return first

    def announce_up_to(self, end: int) -> bool:
        """Messages before *end* may be started from now on. True: a commit must say so before.

        After a crash that matters: if this process crashes as well, only what it had in hand is suspected.
        """
        before = self._announced_to
        is_watched = self.crashes and end < self.proven_from + PROVEN_AFTER
        self._announced_to = end if is_watched else None
        return self._announced_to != before

    def ownership(self, delivered: int, *, owned_by_us: bool, has_delivered: bool) -> Ownership:
        """What a commit says of the owner, in absolute offsets. *delivered*: the offset after the last delivered record."""
        if not (self.is_announced or has_delivered):
            return (
                self._inherited
            )  # this member has started nothing, so it has neither crashed nor cleared anything
        if not owned_by_us:
            return Ownership()
        if self.crashes and self._announced_to is not None:
            end = max(delivered, self._announced_to)
            return working_ownership(
                self.crashed_owners, self.isolated_offset, end, self._member, is_exact=True
            )
        return working_ownership(self.crashed_owners, self.isolated_offset, delivered, self._member)
