"""Keys of one partition with an unsettled message: later messages of the key wait behind it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable
from itertools import takewhile

from core_messaging.rules.job import Job

# A message that waits: its offset, when it came, and its job.
Waiting = tuple[int, float, Job]


class _Lane:
    """One held lane.

    - ``holders``: offsets of messages that wait for a retry or for an answer, or are tried again
    - ``behind``: messages that wait for them
    """

    __slots__ = ("behind", "holders")

    def __init__(self) -> None:
        self.holders: set[int] = set()
        self.behind: list[Waiting] = []


class HeldKeys:
    """The held keys of one partition, for workers with a ``batch_size``.

    A lane is a key, or the whole partition under ``ordering`` "partition". Messages without a lane (None) wait for no other.
    """

    def __init__(self) -> None:
        self._lanes: dict[Hashable, _Lane] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __contains__(self, lane: Hashable) -> bool:
        return lane in self._lanes

    @property
    def behind(self) -> int:
        """The number of messages that wait behind another one."""
        return sum(len(lane.behind) for lane in self._lanes.values())

    def hold(self, lane: Hashable, job: Job) -> None:
        """Later messages of *lane* wait until *job* is settled. Safe to repeat."""
        if lane is not None:
            self._lanes.setdefault(lane, _Lane()).holders.add(job.record.offset)

    def wait_behind(self, lane: Hashable, job: Job, arrived: float) -> None:
        """*job* waits until the messages that hold *lane* are settled."""
        held = self._lanes.setdefault(lane, _Lane())
        held.holders.discard(job.record.offset)
        insort(held.behind, (job.record.offset, arrived, job), key=lambda waiting: waiting[0])

    def settle(self, lane: Hashable, job: Job) -> list[Waiting]:
        """*job* is settled. Returns the messages of *lane* that may go on because of that.

        That is all that wait, unless the first of them were tried before. These go first, in a batch of their own, and hold
        the lane.
        """
        held = self._lanes.get(lane)
        if held is None:
            return []
        held.holders.discard(job.record.offset)
        if held.holders:
            return []
        tried = list(takewhile(lambda waiting: waiting[2].attempt > 1, held.behind))
        if not tried:
            del self._lanes[lane]
            return held.behind
        held.holders.update(offset for offset, _, _ in tried)
        del held.behind[: len(tried)]
        return tried
