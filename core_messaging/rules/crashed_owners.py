"""What a new owner of a partition concludes about the owner before: has its process crashed?"""

from __future__ import annotations

from typing import NamedTuple

from core_messaging.rules.commit_metadata import MAX_CRASHED, Ownership

PROOF = 2  # so many crashes in a row, while the same message was all that ran, make it a poison pill


class CrashedOwners(NamedTuple):
    """Owners in a row that did not give the partition back.

    - ``crashes``: how many
    - ``owners``: the last ones of them, by the number of their process
    - ``suspected_offset``: the message that was all that ran when the last one crashed; None: there was no such message
    - ``solo_crashes``: how many in a row crashed while that message was all that ran
    """

    crashes: int = 0
    owners: tuple[int, ...] = ()
    suspected_offset: int | None = None
    solo_crashes: int = 0


def crashed_before(last: Ownership, me: int) -> CrashedOwners:
    """Return what the commit says about the owners before, to member *me*.

    Only an owner that was not seen again counts as crashed. An owner counts as alive if it has committed since it was
    counted, or if it is *me*: then its group removed it, or its last commit was lost. A suspicion without the id of an owner
    is ignored: an older version wrote it, or it is forged.
    """
    if not last.is_owned:
        return CrashedOwners()
    owners = tuple(owner for owner in last.crashed_owners if owner not in (me, last.owner))
    seen_again = len(last.crashed_owners) - len(owners)
    crashes = max(len(owners), last.crashes - seen_again)
    solo = min(len(owners), max(0, last.solo_crashes - seen_again))
    suspected = last.isolated_offset if last.owner else None
    if last.owner == me:
        return CrashedOwners(crashes, owners, suspected if solo else None, solo)
    owners = (*owners, last.owner)[-MAX_CRASHED:] if last.owner else owners
    return CrashedOwners(crashes + 1, owners, suspected, 0 if suspected is None else solo + 1)


def working_ownership(
    crashed: CrashedOwners, isolated: int | None, delivered: int, me: int, *, is_exact: bool = False
) -> Ownership:
    """Return what member *me* writes while it works.

    *isolated*: the suspected message that runs alone now, if there is one. *is_exact*: no message from *delivered* on was
    started.
    """
    return Ownership(
        is_owned=True,
        crashes=crashed.crashes,
        isolated_offset=isolated,
        delivered=delivered,
        solo_crashes=crashed.solo_crashes if isolated == crashed.suspected_offset else 0,
        owner=me,
        is_exact=is_exact,
        crashed_owners=crashed.owners[-crashed.crashes :] if crashed.crashes else (),
    )


def unchanged_ownership(crashed: CrashedOwners, proven_from: int) -> Ownership:
    """Return what a member writes that has started no message: the next owner concludes *crashed* and *proven_from* again."""
    if not crashed.crashes:
        return Ownership()
    last = crashed.owners[-1] if crashed.owners else 0
    return Ownership(
        is_owned=True,
        crashes=crashed.crashes - 1,
        isolated_offset=crashed.suspected_offset,
        delivered=proven_from,
        is_exact=True,
        solo_crashes=max(0, crashed.solo_crashes - 1),
        owner=last,
        crashed_owners=crashed.owners[:-1],
    )
