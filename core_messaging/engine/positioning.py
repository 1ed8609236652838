"""Asks the broker where assignments begin, and whether their commit metadata can be true."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from core_messaging.broker import Consumer
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.errors import BrokerError
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment, AssignmentState

ASK = 5.0  # seconds the broker has to answer
AGAIN = 1.0  # seconds between two times that it is asked for what it did not tell


class Positioning:
    """Asks one consumer. A broker that does not answer holds nothing up: it is asked again."""

    def __init__(self, log: WorkerLog, consumer: Consumer) -> None:
        self._log = log
        self._consumer = consumer
        self._asked = float("-inf")

    def due(self, now: float) -> bool:
        """Whether it is time to ask, and note that it is done."""
        if now - self._asked < AGAIN:
            return False
        self._asked = now
        return True

    async def place(self, assignments: Sequence[Assignment]) -> bool:
        """Tell *assignments*, of which nothing was fetched yet, where they begin; whether any was told."""
        positions = await self._positions(assignments)
        found = {a: positions[a.source] for a in assignments if a.source in positions}
        await self.place_at(found)
        return bool(found)

    async def place_at(self, positions: Mapping[Assignment, int]) -> None:
        """Their first records have these offsets."""
        ends = await self._ends([assignment.source for assignment in positions])
        for assignment, position in positions.items():
            if assignment.state is AssignmentState.OPEN:
                assignment.place(position, ends.get(assignment.source))
                self._say_doubt(assignment)

    async def reach(self, assignments: Sequence[Assignment]) -> None:
        """Skip the offsets between the last record and the position of the client: they hold no message."""
        idle = [assignment for assignment in assignments if not assignment.unfinished]
        positions = await self._positions(idle)
        for assignment in idle:
            if assignment.source in positions and assignment.state is AssignmentState.OPEN:
                assignment.offsets.advance_to(positions[assignment.source])

    async def at_end(self, assignments: Sequence[Assignment]) -> list[Assignment]:
        """Those of *assignments* of which the client has read all records that there are."""
        positions = await self._positions(assignments)
        ends = await self._ends([assignment.source for assignment in assignments])
        return [a for a in assignments if positions.get(a.source, -1) >= ends.get(a.source, math.inf)]

    async def _positions(self, assignments: Sequence[Assignment]) -> Mapping[TopicPartition, int]:
        if not assignments:
            return {}
        try:
            async with asyncio.timeout(ASK):
                return await self._consumer.positions([assignment.source for assignment in assignments])
        except (BrokerError, TimeoutError) as error:
            self._log.debug("positions unknown", "%s: the positions are not known: %s", error)
            return {}

    async def _ends(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if not sources:
            return {}
        try:
            async with asyncio.timeout(ASK):
                return await self._consumer.end_offsets(sources)
        except (BrokerError, TimeoutError) as error:
            self._log.debug("ends unknown", "%s: the end offsets are not known: %s", error)
            return {}

    def _say_doubt(self, assignment: Assignment) -> None:
        if assignment.metadata_refusal:
            self._log.warning(
                "metadata refused",
                "%s: the metadata beside the commit of %s is not believed: %s. The committed offset counts; messages after it "
                "that were finished before run again. See who else commits for the group",
                assignment.source,
                assignment.metadata_refusal,
                at=assignment.source,
            )
