"""What may start in one partition, and the queue of what needs no handler any more. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from core_messaging.records import Record
from core_messaging.rules.assignment import Assignment, Chunk
from core_messaging.rules.job import Job


class PartitionQueue:
    """Messages of one partition that nobody has taken yet.

    ``chunks`` hold fresh messages. ``ready`` holds messages that have waited already: a retry that is due, or a message
    whose lane has become free. While there are both, they start in turn, so neither waits for the end of the other:
    ``ready_next`` says whose turn it is.
    """

    __slots__ = ("assignment", "chunks", "in_turn", "ready", "ready_next")

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.chunks: deque[Chunk] = deque()
        self.ready: deque[Job] = deque()
        self.ready_next = True
        self.in_turn = False  # the schedule will look at it

    @property
    def fresh(self) -> int:
        """Messages that came and were not looked at yet."""
        return sum(chunk.untaken for chunk in self.chunks)

    @property
    def has_work(self) -> bool:
        """Whether something may start here; a fresh message only if its lane is free."""
        return bool(self.ready) or any(chunk.untaken for chunk in self.chunks)

    def untaken(self) -> Iterator[Record]:
        """The fresh records."""
        for chunk in self.chunks:
            yield from (record for record in chunk.records[chunk.cursor :] if record is not None)


class SettlementQueue:
    """Jobs that need no handler any more: a record was acknowledged or is to be published again, or the message is to be
    given up without another attempt. None of them waits for a slot of the handlers."""

    def __init__(self, added: Callable[[], None] = lambda: None) -> None:
        """*added* is called when a job comes in."""
        self._jobs: deque[Job] = deque()
        self._added = added

    def put(self, job: Job) -> None:
        """The job is settled as soon as somebody takes it."""
        self._jobs.append(job)
        self._added()

    def take(self) -> Job | None:
        """The job that has waited longest."""
        return self._jobs.popleft() if self._jobs else None

    def forget(self, assignment: Assignment) -> None:
        """Jobs of *assignment* count for nothing any more."""
        self._jobs = deque(job for job in self._jobs if job.assignment is not assignment)

    def __len__(self) -> int:
        return len(self._jobs)
