"""What a new owner of a partition concludes of the owner before: has its process died? Pure."""

from __future__ import annotations

from typing import NamedTuple

from core_messaging.rules.commit_metadata import MAX_VANISHED, Ownership

PROOF = 2  # members that vanish while the same message is all that runs


class Vanished(NamedTuple):
    """Owners in a row that did not give the partition back: how many, the last ones by name, and how many of them vanished
    while the message at ``suspect`` was all that ran."""

    crashes: int = 0
    owners: tuple[int, ...] = ()
    suspect: int | None = None
    alone: int = 0


def concluded(last: Ownership, me: int) -> Vanished:
    """What the commit says of the owner before, to member *me*.

    A member that has written to the partition since it was counted, or that reads this, lives: it was thrown out of its
    group, or its last commit was lost. Only one that was never seen again counts. Whoever accuses a message has to be
    named: an accusation without an owner is of an older version, or made up.
    """
    if not last.held:
        return Vanished()
    owners = tuple(owner for owner in last.vanished if owner not in (me, last.owner))
    seen_again = len(last.vanished) - len(owners)
    crashes = max(len(owners), last.crashes - seen_again)
    alone = min(len(owners), max(0, last.alone - seen_again))
    suspect = last.suspect if last.owner else None
    if last.owner == me:
        return Vanished(crashes, owners, suspect if alone else None, alone)
    owners = (*owners, last.owner)[-MAX_VANISHED:] if last.owner else owners
    return Vanished(crashes + 1, owners, suspect, 0 if suspect is None else alone + 1)


def owned(
    vanished: Vanished, suspect: int | None, delivered: int, me: int, *, exact: bool = False
) -> Ownership:
    """What member *me* says while it works, *suspect* being all that runs of what is suspected. *exact*: nothing from *delivered* on was
    started."""
    return Ownership(
        held=True,
        crashes=vanished.crashes,
        suspect=suspect,
        delivered=delivered,
        alone=vanished.alone if suspect == vanished.suspect else 0,
        owner=me,
        exact=exact,
        vanished=vanished.owners[-vanished.crashes :] if vanished.crashes else (),
    )


def handed_on(vanished: Vanished, proven_at: int) -> Ownership:
    """An ownership of which the next owner concludes *vanished*, and *proven_at*: this member has touched no message."""
    if not vanished.crashes:
        return Ownership()
    last = vanished.owners[-1] if vanished.owners else 0
    return Ownership(
        held=True,
        crashes=vanished.crashes - 1,
        suspect=vanished.suspect,
        delivered=proven_at,
        exact=True,
        alone=max(0, vanished.alone - 1),
        owner=last,
        vanished=vanished.owners[:-1],
    )
