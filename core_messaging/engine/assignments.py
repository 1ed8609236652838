"""The partitions this member has now: one Assignment each, replaced when it is assigned again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment, Hold
from core_messaging.rules.hold import new_member
from core_messaging.rules.job import Job
from core_messaging.rules.remembered_state import RememberedState
from core_messaging.rules.schedule import Schedule


class AssignmentTable:
    """Assignments by partition. Epochs only grow, over all sessions of this worker."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._held: dict[TopicPartition, Assignment] = {}
        self._limbo: dict[TopicPartition, tuple[Assignment, list[Job]]] = {}
        self._remembered: dict[TopicPartition, RememberedState] = {}
        self._epoch = 0
        self._member = new_member()

    def assign(self, commits: Mapping[TopicPartition, Committed | None]) -> None:
        """This member has these partitions from now on, and keeps what it has already."""
        self._epoch += 1
        self.fence(commits.keys() & self._held.keys())
        for source, committed in commits.items():
            # The client's own named tuple equals ours; ours prints as people read it.
            ours = TopicPartition(*source)
            self._held[ours] = assignment = Assignment(ours, self._epoch, committed, self._member)
            remembered = self._remembered.pop(ours, None)
            # The very commit that was left behind: nobody has worked on it in between.
            if remembered is not None and committed is not None and remembered.acknowledged == committed:
                assignment.restore(remembered)
                self._take_out_of_limbo(assignment)
        for old, _ in self._limbo.values():
            self._schedule.fence(old)
        self._limbo.clear()

    def leave_in_limbo(self, leaving: Iterable[Assignment], running: Iterable[Job]) -> None:
        """*leaving* were given back while *running* were not done; the next ``assign`` decides about them."""
        for assignment in leaving:
            self._held.pop(assignment.source, None)
            self._remembered[assignment.source] = assignment.remember()
            self._limbo[assignment.source] = (assignment, [j for j in running if j.assignment is assignment])

    def _take_out_of_limbo(self, assignment: Assignment) -> None:
        """The partition came back to the member that gave it away, and nobody has worked on it in between. What
        still runs belongs to the new assignment, and is not started a second time when its record is delivered
        again."""
        old, running = self._limbo.get(assignment.source, (None, []))
        if old is not None and running and self._schedule.carry_over(old, assignment, running):
            del self._limbo[assignment.source]

    def drain(self, sources: Iterable[TopicPartition]) -> list[Assignment]:
        """Start nothing more in *sources*; what runs there may finish. The assignments concerned."""
        found = [self._held[source] for source in sources if source in self._held]
        for assignment in found:
            if assignment.hold is Hold.OPEN:
                self._schedule.drain(assignment)
        return found

    def fence(self, sources: Iterable[TopicPartition]) -> None:
        """Results of *sources* count for nothing any more."""
        for source in list(sources):
            assignment = self._held.pop(source, None)
            if assignment is not None:
                self._schedule.fence(assignment)
                self._remembered[source] = assignment.remember()

    def get(self, source: TopicPartition) -> Assignment | None:
        """Return the assignment of *source*; None where this worker does not own it."""
        return self._held.get(source)

    @property
    def assignments(self) -> Iterable[Assignment]:
        """All assignments that this worker owns."""
        return self._held.values()

    @property
    def sources(self) -> tuple[TopicPartition, ...]:
        """The partitions that this worker owns."""
        return tuple(self._held)
