"""Batches of messages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from core_messaging.records import Record
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.job import Job


class Batch:
    """Messages that are handed to ``process_batch`` together; ``members`` are all that it began with.

    A message leaves its batch when it is settled, and when it has to wait on its own: for a retry, or for its topic.
    """

    __slots__ = ("_left", "members")

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.members = tuple(jobs)
        self._left: set[Job] = set()

    @property
    def jobs(self) -> list[Job]:
        """The jobs that have not left."""
        return [job for job in self.members if job not in self._left and not job.is_finished]

    def leave(self, job: Job) -> bool:
        """*job* leaves the batch. Returns whether it was the last one."""
        self._left.add(job)
        return len(self._left) == len(self.members)

    @property
    def assignment(self) -> Assignment:
        """The assignment that the messages of the batch belong to."""
        return self.members[0].assignment


Work = Job | Batch


def halves(jobs: Sequence[Job], lane_of: Callable[[Record], Hashable]) -> tuple[list[Job], list[Job]]:
    """*jobs* (two at least) in two parts that share no lane, as even as possible; in the middle where all are of one lane."""
    lanes: dict[Hashable, list[Job]] = {}
    for job in jobs:
        lane = lane_of(job.record)
        lanes.setdefault(job.record.offset if lane is None else (lane,), []).append(job)
    first: list[Job] = []
    second: list[Job] = []
    for members in sorted(lanes.values(), key=len, reverse=True):
        (first if len(first) <= len(second) else second).extend(members)
    if not second:
        middle = len(jobs) // 2
        return list(jobs[:middle]), list(jobs[middle:])
    return in_order(first), in_order(second)


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """*jobs* in the order of their offsets."""
    return sorted(jobs, key=lambda job: job.record.offset)
