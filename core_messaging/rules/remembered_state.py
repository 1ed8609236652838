"""What a process remembers of a partition that it had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core_messaging.records import Committed
from core_messaging.rules.commit_metadata import Run
from core_messaging.rules.crashed_owners import CrashedOwners


@dataclass(frozen=True, slots=True)
class RememberedState:
    """What a process knows of a partition that it had, besides the commit. It counts if the partition comes straight back.

    - ``acknowledged``: the last commit that the broker has taken
    - ``crashed_owners``: the owners before that did not give the partition back
    - ``attempts``: offset -> number of the next attempt, where it is not the first one
    - ``dues``: offset -> when the next attempt was due, of messages that waited for a retry
    - ``finished``: runs of finished offsets from the commit on. A member that is thrown out of its group cannot commit them
    - ``blocked_keys``: the keys that follow a dead letter, packed
    """

    acknowledged: Committed | None
    crashed_owners: CrashedOwners
    attempts: Mapping[int, int]
    dues: Mapping[int, float]
    finished: Sequence[Run]
    blocked_keys: bytes
