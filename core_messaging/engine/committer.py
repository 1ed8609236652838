"""Commits how far each partition is finished."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from core_messaging.broker import Consumer
from core_messaging.engine.counters import Counters
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.errors import BrokerError, CommitRefused
from core_messaging.records import Committed
from core_messaging.rules.assignment import Assignment, AssignmentState

LAST = 2.0  # seconds in which the last commit is tried again
AGAIN = 0.2  # seconds between two tries
HAND_OVER = 1.0  # seconds in which the group hears of a member that has nothing left to commit


class Committer:
    """Commits explicit offsets, never "wherever the client is".

    The rebalance callback commits too. There is no lock between the two (that is how others deadlocked): it
    only waits, for at most ``kafka_commit_timeout``, until a commit that is under way has ended.
    """

    def __init__(self, log: WorkerLog, counters: Counters) -> None:
        self._log = log
        self._counters = counters
        self._failing = False
        self._under_way = 0  # commits: the announcement of new records may meet the one of every second
        self._settled = asyncio.Event()  # none is under way
        self._settled.set()

    async def commit(self, consumer: Consumer, assignments: Iterable[Assignment]) -> bool:
        """Commit what has changed. False: the broker has not taken it, and the next call tries again."""
        mine = (a for a in assignments if a.state is AssignmentState.OPEN)
        error = await self._send(consumer, {a: commit for a in mine if (commit := a.progress())})
        if error is not None:
            self._say_failed(error)
        return error is None

    async def give_back(self, consumer: Consumer, assignments: Iterable[Assignment]) -> bool:
        """Commit *assignments* for the last time: they end cleanly.

        It waits for a commit that is under way. If the client repeats that one after this one, the offset goes back.

        It is tried again for 2 s. Without it, the next owner concludes that this process has crashed.
        """
        await self._settled.wait()
        mine = (a for a in assignments if a.state is not AssignmentState.FENCED)
        last = {a: commit for a in mine if (commit := a.progress(owned=False))}
        if not any(assignment.progress() for assignment in last):
            return await self._hand_over(consumer, last)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LAST
        while error := await self._send(consumer, last):
            if isinstance(error, CommitRefused) or loop.time() >= deadline:
                self._say_last_failed(error)
                return False
            await asyncio.sleep(AGAIN)
        return True

    async def _hand_over(self, consumer: Consumer, last: Mapping[Assignment, Committed]) -> bool:
        """Nothing is left to commit: the commit only says that this member left cleanly. A broker that is gone need not get it."""
        try:
            async with asyncio.timeout(HAND_OVER):
                error = await self._send(consumer, last)
        except TimeoutError:
            error = BrokerError(f"no answer within {HAND_OVER:g} s")
        if error is not None:
            self._say_not_handed_over(error)
        return error is None

    async def _send(self, consumer: Consumer, progress: Mapping[Assignment, Committed]) -> BrokerError | None:
        """Why the broker has not taken the commit; None if it has."""
        if not progress:
            return None
        self._under_way += 1
        self._settled.clear()
        try:
            return await self._try(consumer, progress)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._settled.set()

    async def _try(self, consumer: Consumer, progress: Mapping[Assignment, Committed]) -> BrokerError | None:
        try:
            await consumer.commit({assignment.source: commit for assignment, commit in progress.items()})
        except BrokerError as error:
            self._counters.commit_failures += 1
            return error
        self._counters.commits += 1
        for assignment, commit in progress.items():
            assignment.acknowledge(commit)
        self._say_recovered()
        return None

    def _say_failed(self, error: BrokerError) -> None:
        if not self._failing:
            self._failing = True
            text = "%s: %s (tried again every commit_interval; a crash before that repeats these messages)"
            self._log.warning("commit failed", text, error)

    def _say_last_failed(self, error: BrokerError) -> None:
        """Each time: it is not tried again, whatever was logged before."""
        self._log.warning(
            "last commit failed",
            "%s: the last commit before partitions are given back failed: %s; what was finished there since the "
            "commit before is delivered again",
            error,
        )

    def _say_not_handed_over(self, error: BrokerError) -> None:
        self._log.info(
            "not handed over",
            "%s: the group was not told that partitions are given back: %s; all that was finished is committed",
            error,
        )

    def _say_recovered(self) -> None:
        if self._failing:
            self._failing = False
            self._log.info("commit recovered", "%s: commits work again")
