"""Keys of one partition whose earlier message is not settled: what comes after it in its key waits behind it. Pure."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable
from itertools import takewhile

from core_messaging.rules.job import Job

# Of one message that waits: its offset, when it came, and its job.
Waiting = tuple[int, float, Job]


class _Lane:
    """``holders``: offsets that wait for a retry or for an answer, or are tried again. ``behind``: what waits for them."""

    __slots__ = ("behind", "holders")

    def __init__(self) -> None:
        self.holders: set[int] = set()
        self.behind: list[Waiting] = []


class HeldKeys:
    """For workers with a ``batch_size``. A lane is a key, or the whole partition under ``ordering`` "partition"; messages
    without one (None) wait for nobody."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, _Lane] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __contains__(self, lane: Hashable) -> bool:
        return lane in self._lanes

    @property
    def behind(self) -> int:
        """Messages that wait behind another one."""
        return sum(len(lane.behind) for lane in self._lanes.values())

    def hold(self, lane: Hashable, job: Job) -> None:
        """What comes after *job* in *lane* waits until it is settled. Safe to repeat."""
        if lane is not None:
            self._lanes.setdefault(lane, _Lane()).holders.add(job.record.offset)

    def wait_behind(self, lane: Hashable, job: Job, arrived: float) -> None:
        """*job* waits until what holds *lane* is settled."""
        held = self._lanes.setdefault(lane, _Lane())
        held.holders.discard(job.record.offset)
        insort(held.behind, (job.record.offset, arrived, job), key=lambda waiting: waiting[0])

    def settle(self, lane: Hashable, job: Job) -> list[Waiting]:
        """*job* is settled. What may go on in *lane* by that: all of it, unless it begins with messages that were tried
        before. They go first, in a batch of their own, and hold the lane."""
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
