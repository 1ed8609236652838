"""What happens to records between the fetch and the schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core_messaging.broker import Consumer
from core_messaging.engine.committer import Committer
from core_messaging.engine.components import Components
from core_messaging.engine.poison_pill import PoisonPillSearch
from core_messaging.engine.positioning import Positioning
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import Assignment

Arrived = Sequence[tuple[Assignment, Sequence[Record]]]


class Intake:
    """Delivers fetched records to the schedule, and commits before that what must be committed first."""

    def __init__(
        self,
        components: Components,
        consumer: Consumer,
        committer: Committer,
        poison_pill_search: PoisonPillSearch,
    ) -> None:
        self._consumer = consumer
        self._schedule = components.schedule
        self._assignment_table = components.assignment_table
        self._runner_pool = components.runner_pool
        self._timer = components.timer
        self._counters = components.counters
        self._clock = components.loop.time
        self._committer = committer
        self._poison_pill_search = poison_pill_search
        self._positioning = Positioning(components.worker_log, consumer)

    async def begin_new(self) -> None:
        """Commit where each new assignment begins, before its first record.

        Otherwise a group that has begun at the end of a quiet partition begins at its end again after a restart, and
        passes over the records that came in between.
        """
        new = [
            assignment
            for assignment in self._assignment_table.assignments
            if not assignment.offsets.is_placed
        ]
        if new and self._positioning.due(self._clock()) and await self._positioning.place(new):
            await self._committer.commit(self._consumer, new)

    async def take_in(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Deliver *fetched* to the schedule. Records of a partition that was revoked meanwhile are left to its new owner."""
        table = self._assignment_table
        arrived = [(found, records) for s, records in fetched.items() if records and (found := table.get(s))]
        await self._positioning.place_at(
            {a: records[0].offset for a, records in arrived if not a.offsets.is_placed}
        )
        await self._announce(arrived)
        now, count = self._clock(), 0
        for assignment, records in arrived:
            # Looked up before the announcement: what was revoked meanwhile is not open any more, and a new
            # assignment of the same partition gets these records again from the broker.
            if self._poison_pill_search.wants(assignment):
                self._poison_pill_search.take_over(assignment, records)
            else:
                self._schedule.deliver(assignment, records, now)
            count += len(records)
        self._counters.fetched += count
        self._runner_pool.runners.wake(count)
        self._timer.set()

    async def _announce(self, arrived: Arrived) -> None:
        """Before the first message of an assignment starts, its commit says that a member works on it.

        A message that kills the process at once would otherwise leave no trace, and kill the next process as well.
        A refused commit holds nothing up: the records are here, and must be processed or revoked.
        """
        new = []
        for assignment, records in arrived:
            searched = self._poison_pill_search.wants(assignment)
            watched = not searched and assignment.crash_record.announce_up_to(records[-1].offset + 1)
            if assignment.begin(records[0].offset) or watched:
                new.append(assignment)
        if new:
            await self._committer.commit(self._consumer, new)

    async def catch_up(self, paused: frozenset[TopicPartition]) -> None:
        """All fetched records are delivered, and a fetch has brought no more of the partitions that are not *paused*.

        That fetch may only have been too early. So the crashes of a partition are forgiven where the broker says that
        its end is reached.
        """
        waiting = self._poison_pill_search.assignments
        fetching = (a for a in self._assignment_table.assignments if a.source not in paused)
        assignments = [a for a in fetching if a not in waiting]
        crashed = [a for a in assignments if a.crash_record.crashes and not a.unfinished]
        for assignment in await self._positioning.at_end(crashed):
            assignment.caught_up()
        await self._positioning.reach(assignments)
