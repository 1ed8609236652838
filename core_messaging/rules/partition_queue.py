"""What may start in one partition, and the queue of jobs that need no handler any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable

from core_messaging.records import Record
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.chunk import Chunk
from core_messaging.rules.job import Job


class PartitionQueue:
    """Messages of one partition that are not started yet, and the lanes that started ones keep busy.

    - ``chunks``: fresh messages
    - ``ready``: jobs that have waited already: a retry that is due, or a message whose lane has become free
    - ``busy``: lane -> the jobs that wait behind the one that holds it. A lane is busy while its job runs, waits for a retry,
      or waits for an acknowledgement
    - ``attempts``: offset -> number of its next attempt, where it is not the first one
    - ``carried_over``: offset -> job of the assignment before that still runs, until its record comes again
    """

    __slots__ = ("_retrying", "assignment", "attempts", "busy", "carried_over", "chunks", "ready")

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.attempts = assignment.retries.next_attempts
        self.chunks: deque[Chunk] = deque()
        self.ready: deque[Job] = deque()
        self.busy: dict[Hashable, deque[Job] | None] = {}
        self.carried_over: dict[int, Job] = {}
        self._retrying: set[Hashable] = set()  # lanes whose job waits for a retry

    @property
    def fresh(self) -> int:
        """The number of fetched messages that have no job yet."""
        return sum(chunk.untaken for chunk in self.chunks)

    @property
    def has_work(self) -> bool:
        """Whether something may start here; a fresh message only if its lane is free."""
        return bool(self.ready) or any(chunk.untaken for chunk in self.chunks)

    def untaken(self) -> list[Record]:
        """The fresh records."""
        return [record for chunk in self.chunks for record in chunk.untaken_records()]

    def exhaust(self) -> None:
        """No fresh message starts any more."""
        for chunk in self.chunks:
            chunk.exhaust()

    def occupy(self, job: Job) -> None:
        """*job* holds its lane from now on."""
        if job.lane is not None:
            self.busy[job.lane] = None

    def wait_behind(self, job: Job) -> None:
        """The lane of *job* is busy, and it waits there."""
        queue = self.busy[job.lane]
        if queue is None:
            queue = self.busy[job.lane] = deque()
        queue.append(job)
        if job.lane in self._retrying:
            self.assignment.retries.add_waiting(1)

    def begin_retry(self, job: Job) -> None:
        """*job* waits for a retry, and so does all that is behind it in its lane."""
        self.assignment.retries.add_waiting(1 + self._behind(job))
        if job.lane is not None:
            self._retrying.add(job.lane)

    def end_retry(self, job: Job) -> None:
        """*job* does not wait for a retry any more."""
        self.assignment.retries.remove_waiting(1 + self._behind(job))
        self._retrying.discard(job.lane)

    def _behind(self, job: Job) -> int:
        return 0 if job.lane is None else len(self.busy.get(job.lane) or ())

    def adopt(self, chunk: Chunk) -> None:
        """Records of *chunk* have come again while their jobs of the assignment before run: these jobs belong here now."""
        for index, offset in enumerate(chunk.offsets):
            job = self.carried_over.pop(offset, None)
            if job is None or job.is_abandoned:
                continue
            if not job.is_finished:
                job.move_to(self.assignment, chunk, index)
                chunk.hand_over(index)
                self.occupy(job)
                continue
            chunk.finish(index)
            if (
                job.record.key in job.assignment.blocked_keys
            ):  # dead-lettered meanwhile: later messages still follow
                self.assignment.blocked_keys.add(job.record.key)

    def carry(self, jobs: Iterable[Job]) -> None:
        """*jobs* of the assignment before still run."""
        self.carried_over.update({job.record.offset: job for job in jobs})


class SettlementQueue:
    """Jobs that need no handler any more.

    Their record was acknowledged, or has to be published again, or the message is given up without another attempt. None of
    them waits for a runner of the handlers.
    """

    def __init__(self, added: Callable[[], None] = lambda: None) -> None:
        """*added* is called when a job comes in."""
        self._jobs: deque[Job] = deque()
        self._added = added

    def put(self, job: Job) -> None:
        """*job* can be settled."""
        self._jobs.append(job)
        self._added()

    def take(self) -> Job | None:
        """The job that has waited longest; None where there is none."""
        return self._jobs.popleft() if self._jobs else None

    def forget(self, assignment: Assignment) -> None:
        """Drop the jobs of *assignment*."""
        self._jobs = deque(job for job in self._jobs if job.assignment is not assignment)

    def __len__(self) -> int:
        return len(self._jobs)
