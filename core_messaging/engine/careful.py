"""After crashes in a row: one message at a time, written down before it starts, to find the one that kills."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from core_messaging.broker import Consumer
from core_messaging.engine.committing import Committer
from core_messaging.engine.parts import Parts
from core_messaging.errors import KilledTheProcess
from core_messaging.records import Record, coordinates_of
from core_messaging.rules.assignment import PROOF, Assignment, Hold
from core_messaging.wording import counted

logger = logging.getLogger("core_messaging.worker")

KEEP_ALIVE = 30.0  # seconds; a message may take longer than the group waits for a sign of life


class Careful:
    """Feeds the schedule by hand while a partition's recent owners have vanished one after the other.

    ``max_crashes - PROOF`` vanished owners may have had all kinds of reasons. From then on each message is named in
    the commit before it starts, and runs alone in this worker, so that the next crash has a suspect. The one that has
    taken ``PROOF`` of them so goes to the dead-letter queue instead of killing the fleet for ever. When what the
    vanished owners can have had in their hands is through, the partition is worked on as usual.
    """

    def __init__(self, parts: Parts, committer: Committer) -> None:
        self._parts = parts
        self._committer = committer
        self._limit = parts.settings.max_crashes
        self._queue: deque[tuple[Assignment, Record]] = deque()
        self._running: Assignment | None = None

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    def wants(self, assignment: Assignment) -> bool:
        """Whether records of *assignment* must come here."""
        return assignment.crashes >= self._limit - PROOF

    def take_over(self, assignment: Assignment, records: Sequence[Record]) -> None:
        logger.warning(
            "%s: %s of %s vanished in a row; its messages run one at a time, to find the one that ends the process",
            self._parts.config.name,
            counted(assignment.crashes, "owner"),
            assignment.source,
            extra={"worker": self._parts.config.name, "action": "careful"},
        )
        self._queue.extend((assignment, record) for record in records)

    async def step(self, consumer: Consumer) -> None:
        """Let the next message run and wait until it does not run any more."""
        assignment, record = self._queue.popleft()
        if assignment.hold is not Hold.OPEN:
            return
        if assignment.is_finished(record.offset):
            # Noted all the same: were it the last record, the commit would never come to the end.
            assignment.deliver([record])
            return
        if assignment.guilty(record.offset):
            assignment.suspect = None
            self._convict(assignment, record)
            assignment.acquit(record.offset)
            return
        assignment.suspect = record.offset
        # All of them: the commit must also take back what it said of the message before, which may be of another
        # partition. Else that one, long finished, would be convicted for what this one does.
        await self._committer.commit(consumer, list(self._parts.roster.assignments))
        # As if it had come long ago: a batch that waited for company would start when nobody looks any more.
        self._parts.schedule.deliver(assignment, [record], float("-inf"))
        self._parts.slots.wake(1)
        await self._until_quiet(assignment, consumer)
        assignment.suspect = None
        assignment.acquit(record.offset)

    async def _until_quiet(self, assignment: Assignment, consumer: Consumer) -> None:
        while assignment.hold is Hold.OPEN:
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    # Once round the loop first, so that a woken runner has taken the job.
                    await asyncio.sleep(0)
                    await self._parts.slots.quiet(lambda job: job.assignment is assignment)
                return
            except TimeoutError:
                await consumer.keep_alive()

    def _convict(self, assignment: Assignment, record: Record) -> None:
        error = KilledTheProcess(assignment.crashes, assignment.alone, coordinates_of(record))
        logger.error(
            "%s: %s",
            self._parts.config.name,
            error,
            extra={"worker": self._parts.config.name, "action": "convicted"},
        )
        self._parts.schedule.condemn(assignment, record, error)
