"""A batch, what it came from, and what of a partition is in no batch yet. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from core_messaging.rules.assignment import Assignment, Chunk
from core_messaging.rules.job import Job


class Group:
    """The messages gathered into one batch, until the last of them is settled.

    The batch may fall apart on the way (retries of a part, halves that look for the bad message); ``queue``
    holds what of it has to wait for its elder sibling. The partition's order waits for the whole group.
    """

    __slots__ = ("active", "left", "queue")

    def __init__(self, size: int) -> None:
        self.left = size  # messages that are not settled
        self.active = 1  # batches that are neither over nor in the queue
        self.queue: deque[Batch] = deque()


class Batch:
    """Messages handed to ``process_batch`` together. ``isolating``: retries are over, the bad one is looked for."""

    __slots__ = ("attempt", "group", "isolating", "jobs", "left")

    def __init__(self, jobs: Sequence[Job], group: Group, attempt: int = 1) -> None:
        self.jobs = jobs
        self.group = group
        self.attempt = attempt
        self.left = len(jobs)
        self.isolating = False
        for job in jobs:
            job.lane = self

    @property
    def assignment(self) -> Assignment:
        return self.jobs[0].assignment


Work = Job | Batch


class Gathering:
    """What came of one partition and is in no batch yet, and batches of it that have waited already.

    ``ready`` holds batches that are due for a retry, and halves of a batch that failed as a whole. While there are both,
    they and new batches start in turn: ``ready_next`` says whose turn it is.
    """

    __slots__ = ("assignment", "chunks", "dry", "groups", "late", "ready", "ready_next")

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.chunks: deque[tuple[float, Chunk]] = deque()  # (arrived at, chunk)
        self.ready: deque[Batch] = deque()
        self.ready_next = True
        self.dry = False  # a fetch brought nothing more of it, so nothing is kept free for its batch
        self.groups = 0  # under way
        self.late: list[
            tuple[float, Job]
        ] = []  # of what was gathered last, what was tried before: (due, job)

    @property
    def fresh(self) -> int:
        return sum(chunk.untaken for _, chunk in self.chunks)

    @property
    def is_all_there_is(self) -> bool:
        """Whether nothing of the partition runs: all that came is here, or waits for a retry."""
        return self.fresh == self.assignment.unfinished - self.assignment.held

    def gather(self, size: int, now: float, delay: Callable[[int], float]) -> list[Job]:
        jobs: list[Job] = []
        self.late.clear()
        while self.chunks and len(jobs) < size:
            arrived, chunk = self.chunks[0]
            began = arrived if arrived == float("-inf") else now
            stop = min(len(chunk.done), chunk.cursor + size - len(jobs))
            for index in range(chunk.cursor, stop):
                record = chunk.records[index]
                if record is None:  # finished before this assignment
                    continue
                job = Job(chunk, index, record, None)
                job.attempt = self.assignment.attempts.get(record.offset, 1)
                due = self.assignment.due_of(record.offset, began, delay)
                if due > began:
                    self.late.append((due, job))
                jobs.append(job)
            chunk.cursor = stop
            if not chunk.untaken:
                self.chunks.popleft()
        return jobs
