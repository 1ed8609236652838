"""What a process keeps of a partition that it had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core_messaging.records import Committed
from core_messaging.rules.vanished import Vanished


@dataclass(frozen=True, slots=True)
class Left:
    """What this process knows of a partition that it had, besides the commit; of use if it comes straight back.

    ``dues``: offset -> when its next attempt was due, of what waited for a retry.
    """

    acknowledged: Committed | None
    vanished: Vanished
    attempts: Mapping[int, int]
    dues: Mapping[int, float]
