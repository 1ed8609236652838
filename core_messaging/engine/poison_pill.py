"""After crashes in a row: one message at a time, written down before it starts, to find the one that kills."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence

from core_messaging.broker import Consumer
from core_messaging.engine.committer import Committer
from core_messaging.engine.components import Components
from core_messaging.errors import KilledTheProcess
from core_messaging.records import Record, coordinates_of
from core_messaging.rules.assignment import PROOF, Assignment, AssignmentState
from core_messaging.text.wording import counted


class PoisonPillSearch:
    """Feeds the schedule by hand with messages of partitions whose recent owners have crashed one after the other.

    ``max_crashes - PROOF`` crashed owners may have had all kinds of reasons. After that, each message that the last owner
    may have been running is named in the commit before it starts. It runs alone in these partitions. So the next crash has
    a suspect.

    A suspected message runs while nothing else runs in this worker. If ``PROOF`` processes in a row crash so, the message
    goes to the dead-letter queue. Messages above suspicion are processed as usual, and so are the other partitions.
    """

    def __init__(self, components: Components, committer: Committer) -> None:
        self._components = components
        self._committer = committer
        self._limit = components.settings.max_crashes
        self._queues: dict[Assignment, deque[Record]] = {}  # the one whose turn is next comes first
        self._more = asyncio.Event()

    @property
    def assignments(self) -> Collection[Assignment]:
        """Whose fetched messages wait here; nothing more of them is fetched meanwhile."""
        return self._queues.keys()

    def wants(self, assignment: Assignment) -> bool:
        """Whether records of *assignment* that were just fetched must come here."""
        return assignment in self._queues or self._suspects(assignment, assignment.delivered or 0)

    def _suspects(self, assignment: Assignment, offset: int) -> bool:
        crash_record = assignment.crash_record
        return crash_record.crashes >= self._limit - PROOF and offset < crash_record.proven_from

    def take_over(self, assignment: Assignment, records: Sequence[Record]) -> None:
        """Let *records* run one after the other, and behind them in bulk those that are above suspicion."""
        if assignment not in self._queues:
            self._components.worker_log.warning(
                "poison pill search",
                "%s: %s of %s crashed in a row; its messages before offset %d run one at a time, to find the one that ends "
                "the process",
                counted(assignment.crash_record.crashes, "process"),
                assignment.source,
                assignment.crash_record.proven_from,
                at=assignment.source,
            )
        self._queues.setdefault(assignment, deque()).extend(records)
        self._more.set()

    async def run(self, consumer: Consumer) -> None:
        """For as long as *consumer* lives. Beside fetching, because other partitions go on."""
        while True:
            await self._more.wait()
            while self._queues:
                await self._step(consumer)
            self._more.clear()

    async def _step(self, consumer: Consumer) -> None:
        """Let the next message run and wait until it does not run any more."""
        # A suspected message is tried first: its result tells most.
        assignment = min(self._queues, key=lambda each: each.crash_record.suspected_offset is None)
        queue = self._queues.pop(assignment)
        if assignment.state is not AssignmentState.OPEN:
            return
        if not queue or not self._suspects(assignment, queue[0].offset):
            await self._release(consumer, assignment, queue)
            return
        self._queues[assignment] = queue  # behind the others
        record = queue.popleft()
        if assignment.offsets.is_finished(record.offset):
            # Mark it delivered anyway: otherwise the commit stops before it, if it is the last record.
            assignment.deliver([record])
        elif assignment.crash_record.is_poison(record.offset):
            self._give_up_poison_pill(assignment, record)
            assignment.crash_record.end_isolation(record.offset)
        else:
            await self._try_alone(consumer, assignment, record)

    async def _release(self, consumer: Consumer, assignment: Assignment, queue: Sequence[Record]) -> None:
        """Deliver *queue* in bulk: no message in it can have caused the crashes."""
        if queue and assignment.crash_record.announce_up_to(queue[-1].offset + 1):
            await self._committer.commit(consumer, [assignment])
        self._components.schedule.deliver(assignment, list(queue), self._components.loop.time())
        self._components.runner_pool.runners.wake(len(queue))
        self._components.timer.set()

    async def _try_alone(self, consumer: Consumer, assignment: Assignment, record: Record) -> None:
        is_suspected = record.offset == assignment.crash_record.suspected_offset
        try:
            if is_suspected:
                self._components.schedule.isolate(assignment)
                await self._components.runner_pool.quiet(lambda _job: True)
            await self._run_named(consumer, assignment, record)
        finally:
            if is_suspected:
                self._components.schedule.isolate(None)
                self._components.runner_pool.runners.wake(self._components.runner_pool.count)

    async def _run_named(self, consumer: Consumer, assignment: Assignment, record: Record) -> None:
        assignment.crash_record.isolate(record.offset)
        assignment.crash_record.announce_up_to(record.offset + 1)
        # All of them: the commit must also take back what it said of the message before, which may be of another
        # partition. Otherwise that one, long finished, is dead-lettered for what this one does.
        await self._committer.commit(consumer, list(self._components.assignment_table.assignments))
        if assignment.state is not AssignmentState.OPEN:
            return  # it did not run, so it is cleared of nothing
        # As if it had come long ago: a batch that waited for more messages would start after the search for it has ended.
        self._components.schedule.deliver(assignment, [record], float("-inf"))
        self._components.runner_pool.runners.wake(1)
        await self._until_quiet(assignment)
        assignment.crash_record.end_isolation(record.offset)

    async def _until_quiet(self, assignment: Assignment) -> None:
        """Wait until nothing of *assignment* runs, and nothing of it is ready to run."""
        await asyncio.sleep(0)  # so that a woken runner has taken the job
        await self._components.runner_pool.quiet(
            lambda job: job.assignment is assignment,
            lambda: assignment in self._components.schedule.working(),
        )

    def _give_up_poison_pill(self, assignment: Assignment, record: Record) -> None:
        crash_record = assignment.crash_record
        error = KilledTheProcess(crash_record.crashes, crash_record.solo_crashes, coordinates_of(record))
        self._components.worker_log.error("poison pill found", "%s: %s", error, at=assignment.source)
        self._components.schedule.give_up_in_turn(assignment, record, error)
