"""Jobs that still run while their partition is taken away and comes straight back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from core_messaging.records import Record


class CarriedJob(Protocol):
    """A job of the assignment before, as far as the next assignment looks at it."""

    @property
    def record(self) -> Record:
        """The record that the job processes."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether its message is finished, in whichever assignment it is by now."""
        ...


class CarriedJobs:
    """The jobs of the last assignment of a partition that still ran when it came back."""

    __slots__ = ("_jobs",)

    def __init__(self) -> None:
        self._jobs: dict[int, CarriedJob] = {}  # by offset

    def add(self, jobs: Iterable[CarriedJob]) -> None:
        """*jobs* still run."""
        self._jobs.update({job.record.offset: job for job in jobs})

    def record_at(self, offset: int) -> Record | None:
        """The record of the job at *offset*, if there is one and it still runs."""
        self._forget_finished()
        job = self._jobs.get(offset)
        return None if job is None else job.record

    def oldest(self) -> Record | None:
        """The first record whose job still runs."""
        self._forget_finished()
        return self._jobs[min(self._jobs)].record if self._jobs else None

    def _forget_finished(self) -> None:
        for offset in [offset for offset, job in self._jobs.items() if job.is_finished]:
            del self._jobs[offset]
