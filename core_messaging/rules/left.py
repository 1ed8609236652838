"""What a process keeps of a partition that it had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core_messaging.records import Committed
from core_messaging.rules.commit_metadata import Run
from core_messaging.rules.vanished_owners import Vanished


@dataclass(frozen=True, slots=True)
class Left:
    """What this process knows of a partition that it had, besides the commit; of use if it comes straight back.

    ``dues``: offset -> when its next attempt was due, of what waited for a retry. ``finished``: runs of offsets from the commit
    on: its owner was thrown out of the group, say, before it could commit them. ``blocked``: the keys that follow a dead
    letter, packed.
    """

    acknowledged: Committed | None
    vanished: Vanished
    attempts: Mapping[int, int]
    dues: Mapping[int, float]
    finished: Sequence[Run]
    blocked: bytes
