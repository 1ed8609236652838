"""What a worker does when its consumer group assigns partitions or revokes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from core_messaging.broker import Consumer
from core_messaging.config import WorkerConfig
from core_messaging.engine.committer import Committer
from core_messaging.engine.components import Components
from core_messaging.engine.flow_controller import FlowController
from core_messaging.engine.group_status import GroupStatus
from core_messaging.observers import Observers, tell
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment, AssignmentState
from core_messaging.text.wording import counted

# Seconds in which partitions are given up together. Each time that some are given up is another round of the group.
TOGETHER = 0.5


class RebalanceListener:
    """Answers the assignments of the group for one consumer. ``again``: the worker was in the group and has lost it."""

    def __init__(
        self,
        components: Components,
        consumer: Consumer,
        committer: Committer,
        status: GroupStatus,
        flow: FlowController,
        *,
        again: bool,
    ) -> None:
        self._components = components
        self._assignment_table = components.assignment_table
        self._runner_pool = components.runner_pool
        self._clock = components.loop.time
        self._log = components.worker_log
        self._consumer = consumer
        self._committer = committer
        self._status = status
        self._flow = flow
        self._again = again
        self._plugins_told: asyncio.Future[None] | None = None  # kept, or the loop would forget the task
        self._deadlines: dict[Assignment, float] = {}  # of what is given up: until when its messages may run

    def assigned(self, commits: Mapping[TopicPartition, Committed | None]) -> None:
        """This member has the partitions of *commits* from now on, and keeps what it has already."""
        self._assignment_table.assign(commits)
        self._runner_pool.notify_quiet()  # what was fenced by that is not waited for any more
        if self._again and not self._status.joined:
            self._log.info("rejoined", "%s is back in its group")
        self._status.rebalance_ended(self._clock())
        self._flow.assigned(commits)
        self._runner_pool.runners.wake(1)
        kept = self._kept()
        if commits or not kept:
            self._say_assigned(kept)
            self._tell_assigned(kept)
        self._say_owners_died(commits)

    def _kept(self) -> list[TopicPartition]:
        """The partitions that this member has and is not giving up."""
        return [a.source for a in self._assignment_table.assignments if a.state is AssignmentState.OPEN]

    def _say_assigned(self, sources: Iterable[TopicPartition]) -> None:
        names = ", ".join(map(str, sorted(sources)))
        nothing = "no partitions (the group has more members than partitions)"
        self._log.info("assigned", "%s has %s", names or nothing)

    def _say_owners_died(self, added: Mapping[TopicPartition, object]) -> None:
        """Without that line nobody sees why these partitions stood still."""
        from_dead = sorted(
            assignment.source
            for assignment in self._assignment_table.assignments
            if assignment.source in added and assignment.crash_record.crashes
        )
        if from_dead:
            self._log.warning(
                "owner died",
                "%s has %s from a process that did not leave the group: it died, or was silent for kafka_session_timeout "
                "(%g s here). The partitions stood still until the group knew; a replacement on the same machine tells it "
                "at once. What was not committed runs again",
                ", ".join(map(str, from_dead)),
                self._components.settings.kafka_session_timeout,
            )

    def _tell_assigned(self, sources: Iterable[TopicPartition]) -> None:
        """The client waits for this callback, so an async hook runs in a task of its own."""
        told = self._components.observers.on_assigned
        if told is None:
            return
        pending = told(worker=self._components.config, partitions=tuple(sorted(sources)))
        if pending is not None:
            self._plugins_told = asyncio.ensure_future(pending)

    async def revoked(self, sources: frozenset[TopicPartition]) -> frozenset[TopicPartition]:
        """Start nothing more in *sources*, let running messages finish, commit, and only then let go. Other partitions go on.

        Returns those of *sources* that are given up. Where others take longer, it is called again with them.

        What still runs after ``revoke_timeout`` waits until the group has decided. If the partition comes straight back,
        it goes on. If not, its result is dropped and the next owner repeats it.
        """
        leaving = self._drain(sources)
        if not leaving:
            return sources
        finished = await self._finish_running(leaving)
        await self._committer.give_back(self._consumer, finished)
        await self._let_go(finished)
        if kept := self._kept():
            self._say_assigned(kept)
        return sources - {assignment.source for assignment in leaving - finished}

    async def lost(self, sources: frozenset[TopicPartition]) -> None:
        """The group has taken this member for dead: others may have *sources* by now, so nothing of them is committed.

        Running messages go on if their partition comes straight back, and no other member had it in between.
        """
        leaving = self._drain(sources)
        if leaving:
            self._log.warning(
                "lost",
                "%s was taken for dead by its group (no heartbeat for kafka_session_timeout) and has lost %s; it joins "
                "again. What was finished there since the last commit may be repeated",
                ", ".join(map(str, sorted(assignment.source for assignment in leaving))),
            )
            await self._let_go(leaving)

    def _drain(self, sources: frozenset[TopicPartition]) -> set[Assignment]:
        leaving = set(self._assignment_table.drain(sources))
        if leaving.issuperset(self._assignment_table.assignments):
            self._status.left_without_partitions(self._clock())
        self._components.handler.give_back(self._runner_pool, lambda job: job.assignment in leaving)
        return leaving

    async def _let_go(self, leaving: set[Assignment]) -> None:
        running = self._runner_pool.busy(lambda job: job.assignment in leaving)
        self._assignment_table.release(leaving, running)
        for assignment in leaving:
            self._deadlines.pop(assignment, None)
        sources = sorted(assignment.source for assignment in leaving)
        self._log.info("revoked", "%s has given up %s", ", ".join(map(str, sources)))
        await tell_revoked(self._components.observers, self._components.config, sources)

    async def _finish_running(self, leaving: set[Assignment]) -> set[Assignment]:
        """Wait until some of *leaving* have no running message, or have no time left. Return these."""
        now = self._clock()
        latest = now + self._components.settings.revoke_timeout
        deadline = min(self._deadlines.setdefault(assignment, latest) for assignment in leaving)
        if await self._until(lambda: not self._busy(leaving), min(now + TOGETHER, deadline)):
            return leaving
        if not await self._until(lambda: self._busy(leaving) != leaving, deadline):
            self._say_unfinished(leaving)
            return leaving
        return leaving - self._busy(leaving)

    async def _until(self, condition: Callable[[], bool], deadline: float) -> bool:
        try:
            async with asyncio.timeout_at(deadline):
                await self._runner_pool.until(condition)
        except TimeoutError:
            return False
        return True

    def _busy(self, leaving: set[Assignment]) -> set[Assignment]:
        """Those of *leaving* that have running messages."""
        return {job.assignment for job in self._runner_pool.busy(lambda job: job.assignment in leaving)}

    def _say_unfinished(self, leaving: set[Assignment]) -> None:
        blockers = self._runner_pool.busy(lambda job: job.assignment in leaving)
        self._log.warning(
            "revoke timeout",
            "%s gives up partitions while %s after revoke_timeout = %g s (%s); unless the "
            "partitions come straight back, their results are dropped and the next owner repeats them",
            counted(len(blockers), "message", "still runs", "still run"),
            self._components.settings.revoke_timeout,
            ", ".join(map(str, blockers[:5])),
        )


async def tell_revoked(observers: Observers, worker: WorkerConfig, sources: Iterable[TopicPartition]) -> None:
    """Tell the plugins that *worker* has lost *sources*."""
    partitions = tuple(sorted(sources))
    if partitions and observers.on_revoked is not None:
        await tell(observers.on_revoked, worker=worker, partitions=partitions)
