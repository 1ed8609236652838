"""Fetches records from one consumer for as long as it lives."""

from __future__ import annotations

from collections.abc import Collection

from core_messaging.broker import Consumer
from core_messaging.engine.components import Components
from core_messaging.engine.flow_controller import FlowController
from core_messaging.engine.group_status import GroupStatus
from core_messaging.engine.intake import Intake
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.flow_control import FIRST_PIECE

# Seconds one fetch waits for records, and of a worker that has had none for IDLE_AFTER seconds. Each look costs work for each
# partition.
POLL, IDLE_POLL, IDLE_AFTER = 1.0, 4.0, 10.0
# Between two looks while there is no room: soon at first, because handlers that do nothing empty the whole intake
# within 0.04 s and would then wait for the next look; seldom later, because each look costs work for each partition.
SOON, FULL = 0.005, 0.05  # seconds
KEEP_ALIVE = 30.0  # seconds without a fetch after which the group must hear that the consumer lives


class FetchLoop:
    """Fetches while there is room, and waits for handlers while there is none."""

    def __init__(
        self,
        components: Components,
        consumer: Consumer,
        status: GroupStatus,
        flow: FlowController,
        intake: Intake,
    ) -> None:
        self._consumer = consumer
        self._status = status
        self._flow = flow
        self._intake = intake
        self._schedule = components.schedule
        self._runner_pool = components.runner_pool
        self._counters = components.counters
        self._clock = components.loop.time
        self._last_fetch = self._clock()
        self._pause = SOON

    async def step(self) -> None:
        """One look: fetch if there is room, else wait a little. Raises BrokerError when the consumer is beyond repair."""
        await self._intake.begin_new()
        if room := self._flow.balance():
            self._last_fetch = self._clock()
            # While something is paused, the next look at it must not wait for other partitions' records.
            came = await self._fetch(room, self._pause if self._flow.paused else self._patience())
            self._pause = SOON if came else min(2 * self._pause, FULL)
        elif self._clock() - self._last_fetch > KEEP_ALIVE:
            self._last_fetch = self._clock()
            await self._consumer.keep_alive()
        else:
            await self._wait_for_room()

    def _patience(self) -> float:
        is_idle = self._last_fetch - self._status.last_record > IDLE_AFTER
        return IDLE_POLL if is_idle else POLL

    async def _wait_for_room(self) -> None:
        began = self._counters.started
        await self._runner_pool.until_handed_out(self._pause)
        working = self._schedule.working()
        # More than a round of the partitions meanwhile: a message of another one would have had its turn.
        busy = self._counters.started - began > len(working)
        self._pause = SOON if busy else min(2 * self._pause, FULL)
        await self._fetch_idle(working)

    async def _fetch_idle(self, working: Collection[Assignment]) -> None:
        """There is enough at hand, but not of every partition: look, without waiting, whether the others have records."""
        sources = self._flow.idle_partitions(working)
        if not sources:
            return
        others = self._flow.pause_all_but(sources)
        try:
            await self._fetch(FIRST_PIECE * len(sources), 0.0)
        finally:
            self._flow.resume_all(others)

    async def _fetch(self, room: int, wait: float) -> bool:
        """Take in up to *room* records; whether any came within *wait* seconds."""
        fetched = await self._consumer.fetch(room, wait)
        if wait and sum(map(len, fetched.values())) < room:
            self._flow.ran_dry(fetched)
        if not fetched:
            if wait >= FULL:  # else the broker may only not have answered yet
                await self._intake.catch_up(self._flow.paused)
            return False
        await self._intake.take_in(fetched)
        self._status.record_arrived(self._clock())
        return True
