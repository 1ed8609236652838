"""One membership in the consumer group: from joining until leaving, or until the client is beyond repair."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from core_messaging.broker import Consumer
from core_messaging.engine.committing import Committer
from core_messaging.engine.parts import Parts
from core_messaging.observers import tell
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.intake import IntakeLimits, plan
from core_messaging.settings import Settings

logger = logging.getLogger("core_messaging.worker")

POLL = 1.0  # seconds one fetch waits for records
FULL = 0.05  # seconds between two looks while there is no room
KEEP_ALIVE = 30.0  # seconds without a fetch after which the group must hear that we are alive


class Session:
    """Fetches into the schedule and answers the group's assignments."""

    def __init__(self, parts: Parts, consumer: Consumer, committer: Committer) -> None:
        self._config = parts.config
        self.consumer = consumer
        self._schedule = parts.schedule
        self._roster = parts.roster
        self._slots = parts.slots
        self._committer = committer
        self._clock = parts.loop.time
        self._rearm = parts.rearm
        self._counts = parts.counts
        self._limits = _limits(parts.settings)
        self._observers = parts.observers
        self._revoke_timeout = parts.settings.revoke_timeout
        self._paused: frozenset[TopicPartition] = frozenset()
        self.rebalancing = True

    async def start(self) -> None:
        """Join the group. Raises BrokerUnreachable, BrokerRefused."""
        await self.consumer.start(self._assigned, self._revoked)

    async def fetch_forever(self) -> None:
        """Fetch while there is room. Raises BrokerError when the member is beyond repair."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            room = self._balance()
            if room:
                last = loop.time()
                await self._fetch(room)
            elif loop.time() - last > KEEP_ALIVE:
                last = loop.time()
                await self.consumer.keep_alive()
            else:
                await asyncio.sleep(FULL)

    async def _fetch(self, room: int) -> None:
        fetched = await self.consumer.fetch(room, POLL)
        count, now = 0, self._clock()
        for source, records in fetched.items():
            # None: revoked while these were on their way. They are somebody else's now.
            assignment = self._roster.get(source)
            if assignment is not None:
                self._schedule.deliver(assignment, records, now)
                count += len(records)
        self._counts.fetched += count
        self._slots.wake(count)
        self._rearm()

    def _balance(self) -> int:
        """Pause what is full, resume what has room; how many messages may come."""
        todo = plan(self._roster.assignments, self._paused, self._limits)
        if todo.pause or todo.resume:
            self.consumer.pause(todo.pause)
            self.consumer.resume(todo.resume)
            self._paused = (self._paused | set(todo.pause)) - set(todo.resume)
        return todo.room

    def _assigned(self, commits: Mapping[TopicPartition, Committed | None]) -> None:
        self._roster.assign(commits)
        self._paused = frozenset()  # a new assignment starts unpaused, whatever was before
        self.rebalancing = False
        sources = self._roster.sources
        logger.info(
            "%s has %s",
            self._config.name,
            ", ".join(map(str, sorted(sources)))
            or "no partitions (the group has more members than partitions)",
            extra={"worker": self._config.name, "action": "assigned"},
        )
        self._slots.wake(1)

    async def _revoked(self, sources: frozenset[TopicPartition]) -> None:
        """Start nothing more there, let what runs finish, commit, and only then let go.

        Everything that came late is repeated by the next owner: a duplicate beats a loss.
        """
        self.rebalancing = True
        leaving = set(self._roster.drain(sources))
        if not leaving:
            return
        try:
            async with asyncio.timeout(self._revoke_timeout):
                await self._slots.quiet(lambda job: job.assignment in leaving)
        except TimeoutError:
            self._say_unfinished(leaving)
        await self._committer.commit(self.consumer, leaving)
        self._roster.fence(sources)
        if (told := self._observers.on_revoked) is not None:
            await tell(told, worker=self._config, partitions=tuple(sorted(sources)))

    def _say_unfinished(self, leaving: set[Assignment]) -> None:
        blockers = self._slots.busy(lambda job: job.assignment in leaving)
        logger.warning(
            "%s gives up partitions while %d messages still run after revoke_timeout = %g s (%s); "
            "their results are dropped and the next owner repeats them",
            self._config.name,
            len(blockers),
            self._revoke_timeout,
            ", ".join(map(str, blockers[:5])),
            extra={"worker": self._config.name, "action": "revoke timeout"},
        )


def _limits(settings: Settings) -> IntakeLimits:
    return IntakeLimits(
        records=settings.max_in_flight,
        size=settings.max_in_flight_bytes,
        partition_records=settings.max_partition_in_flight,
        held=settings.max_waiting_retries,
    )
