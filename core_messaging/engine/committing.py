"""Tells the broker how far each partition is done."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from core_messaging.broker import Consumer
from core_messaging.engine.counts import Counts
from core_messaging.errors import BrokerError
from core_messaging.rules.assignment import Assignment, Hold

logger = logging.getLogger("core_messaging.worker")


class Committer:
    """Commits explicit offsets, never "wherever the client is". Holds no lock: the rebalance callback commits too,
    and a lock shared by both is how others deadlocked. An older commit cannot overtake a newer one, because both
    go through one connection in the order they were asked for."""

    def __init__(self, worker: str, counts: Counts) -> None:
        self._worker = worker
        self._counts = counts
        self._failing = False

    async def commit(self, consumer: Consumer, assignments: Iterable[Assignment]) -> bool:
        """Commit what has changed. False: it was not taken, and the next call tries again."""
        progress = {a: commit for a in assignments if a.hold is not Hold.FENCED and (commit := a.progress())}
        if not progress:
            return True
        try:
            await consumer.commit({assignment.source: commit for assignment, commit in progress.items()})
        except BrokerError as error:
            self._counts.commit_failures += 1
            self._say_failed(error)
            return False
        self._counts.commits += 1
        for assignment, commit in progress.items():
            assignment.acknowledged = commit
        self._say_recovered()
        return True

    def _say_failed(self, error: BrokerError) -> None:
        if not self._failing:
            self._failing = True
            logger.warning(
                "%s: %s (tried again every commit_interval; a crash before that repeats these messages)",
                self._worker,
                error,
                extra={"worker": self._worker, "action": "commit failed"},
            )

    def _say_recovered(self) -> None:
        if self._failing:
            self._failing = False
            logger.info(
                "%s: commits work again",
                self._worker,
                extra={"worker": self._worker, "action": "commit recovered"},
            )
