"""The partitions this member has now: one Assignment each, replaced when it is assigned again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment, AssignmentState
from core_messaging.rules.assignment_state import new_member
from core_messaging.rules.job import Job
from core_messaging.rules.remembered_state import RememberedState
from core_messaging.rules.schedule import Schedule


class AssignmentTable:
    """Assignments by partition. Epochs only grow, over all sessions of this worker."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._assignments: dict[TopicPartition, Assignment] = {}
        self._released: dict[TopicPartition, tuple[Assignment, list[Job]]] = {}
        self._remembered: dict[TopicPartition, RememberedState] = {}
        self._epoch = 0
        self._member = new_member()

    def assign(self, commits: Mapping[TopicPartition, Committed | None]) -> None:
        """This member has these partitions from now on, and keeps what it has already."""
        self._epoch += 1
        self.fence(commits.keys() & self._assignments.keys())
        for source, committed in commits.items():
            # The client's own named tuple equals ours; ours prints as people read it.
            ours = TopicPartition(*source)
            self._assignments[ours] = assignment = Assignment(ours, self._epoch, committed, self._member)
            remembered = self._remembered.pop(ours, None)
            # The very commit that was left behind: no other member has worked on it in between.
            if remembered is not None and committed is not None and remembered.acknowledged == committed:
                assignment.restore(remembered)
                self._carry_over(assignment)
        for old, _ in self._released.values():
            self._schedule.fence(old)
        self._released.clear()

    def release(self, leaving: Iterable[Assignment], running: Iterable[Job]) -> None:
        """*leaving* are given back while *running* jobs are not finished; the next ``assign`` decides about these."""
        for assignment in leaving:
            self._assignments.pop(assignment.source, None)
            self._remembered[assignment.source] = assignment.remember()
            self._released[assignment.source] = (
                assignment,
                [j for j in running if j.assignment is assignment],
            )

    def _carry_over(self, assignment: Assignment) -> None:
        """The partition came straight back: jobs that still run belong to the new *assignment*.

        They are not started a second time when their records are delivered again.
        """
        old, running = self._released.get(assignment.source, (None, []))
        if old is not None and running and self._schedule.carry_over(old, assignment, running):
            del self._released[assignment.source]

    def drain(self, sources: Iterable[TopicPartition]) -> list[Assignment]:
        """Start nothing more in *sources*; what runs there may finish. The assignments concerned."""
        found = [self._assignments[source] for source in sources if source in self._assignments]
        for assignment in found:
            if assignment.state is AssignmentState.OPEN:
                self._schedule.drain(assignment)
        return found

    def fence(self, sources: Iterable[TopicPartition]) -> None:
        """Results of *sources* count for nothing any more."""
        for source in list(sources):
            assignment = self._assignments.pop(source, None)
            if assignment is not None:
                self._schedule.fence(assignment)
                self._remembered[source] = assignment.remember()

    def get(self, source: TopicPartition) -> Assignment | None:
        """Return the assignment of *source*; None where this worker does not own it."""
        return self._assignments.get(source)

    @property
    def assignments(self) -> Iterable[Assignment]:
        """All assignments that this worker owns."""
        return self._assignments.values()

    @property
    def sources(self) -> tuple[TopicPartition, ...]:
        """The partitions that this worker owns."""
        return tuple(self._assignments)
