"""Pauses a worker that dead-letters more than its ``dlq_limit`` allows."""

from __future__ import annotations

import asyncio
import socket

from core_messaging.engine.components import Components
from core_messaging.errors import BrokerError, KilledTheProcess
from core_messaging.options import DlqLimit
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.rules.dead_letter_limit import DeadLetterLimit
from core_messaging.rules.job import Job
from core_messaging.rules.pauses import LONGEST_NAME, Pause, PauseTarget, encode_pause, encode_target

AGAIN = 2.0  # seconds until a message that is held back looks whether the pause is over, and between two tries to store it
LOOK = 0.1  # seconds between two looks whether a person has ended the pause


class DeadLetterLimiter:
    """Holds back each message that would be one dead letter too many, and pauses the worker.

    Where there is a control topic the pause is stored there. It holds for all processes of the group and beyond a restart,
    until a person resumes the worker. Without one it lasts as long as this process.

    A message that is held back keeps its lane and waits like a retry. After the pause it begins anew, with all its attempts.
    """

    def __init__(self, components: Components, limit: DlqLimit) -> None:
        self._components = components
        self._clock = components.loop.time
        self._pause = components.own_pause
        self._limit = DeadLetterLimit(limit, self._clock(), components.counters.succeeded)
        self._reached = asyncio.Event()

    def holds_back(self, job: Job, error: BaseException) -> bool:
        """Whether *job*, which failed for good with *error*, is not given up now. Counts it otherwise."""
        if isinstance(error, KilledTheProcess):  # it must not run again
            return False
        if not self._pause.is_on:
            why = self._limit.why_too_many(self._clock(), self._components.counters.succeeded)
            if not why:
                return False
            self._begin(job, why)
        job.hold_back()
        job.assignment.retries.begin_anew(job.record.offset)
        self._components.timer.park(job, self._clock() + AGAIN)
        return True

    def begin_anew(self, job: Job) -> None:
        """*job* was held back: let it run again, unless the pause goes on."""
        if not self._pause.is_on:
            job.begin_giving_up()
        self._components.timer.park(job, self._clock() + (AGAIN if self._pause.is_on else 0.0))

    def _begin(self, job: Job, why: str) -> None:
        config, stored = self._components.config, self._components.control_topic is not None
        self._pause.begin(f"paused by its dlq_limit: {why}")
        self._reached.set()
        self._components.worker_log.error(
            "dlq limit",
            "%s reached its dlq_limit and pauses: %s. %s is not dead-lettered and stays uncommitted, and so does what fails "
            "for good after it; nothing is lost. %s",
            why,
            job,
            f"All processes of its group pause. Mend the cause, then run `core kafka resume {config.name}`"
            if stored
            else "Mend the cause, then start this process again",
            at=job,
        )

    async def run(self) -> None:
        """Keep the window of the limit; from the pause on, store it and wait for its end."""
        while True:
            await self._sample_until_reached()
            await self._store()
            await self._until_resumed()
            self._reached.clear()
            self._limit.begin_anew(self._clock(), self._components.counters.succeeded)
            self._pause.end()

    async def _sample_until_reached(self) -> None:
        while not self._reached.is_set():
            try:
                async with asyncio.timeout(self._limit.sampled_every):
                    await self._reached.wait()
            except TimeoutError:
                self._limit.sample(self._clock(), self._components.counters.succeeded)

    async def _store(self) -> None:
        """Pause the group in the control topic. This process pauses whether that succeeds or not."""
        topic, config = self._components.control_topic, self._components.config
        if topic is None:
            return
        key = encode_target(PauseTarget(group=config.group_id))
        by = f"the dlq_limit of {config.name} on {socket.gethostname()}"[:LONGEST_NAME]
        record = Outgoing(topic, encode_pause(Pause(by=by)), key)
        failures = 0
        while not await self._is_stored(record, failures):
            failures += 1
            await asyncio.sleep(AGAIN)

    async def _is_stored(self, record: Outgoing, failures: int) -> bool:
        try:
            await (await self._components.publisher.publish(record))
        except BrokerError as error:
            if not failures:
                self._components.worker_log.warning(
                    "pause not stored",
                    "%s: its pause cannot be stored in %s (%s); other processes go on, this one stays paused, and it is tried "
                    "again. Give the worker Write on that topic",
                    record.topic,
                    error,
                )
            return False
        return True

    async def _until_resumed(self) -> None:
        """Wait until the control topic has told of the pause, and then of its end. Without one: for ever."""
        if self._components.control_topic is None:
            await asyncio.Event().wait()
        for told in (True, False):
            while self._is_paused_for_all() is not told:  # noqa: ASYNC110 - pauses tell nobody of a change
                await asyncio.sleep(LOOK)

    def _is_paused_for_all(self) -> bool:
        """Whether the pause of the whole group holds. A pause of one of its topics names that topic."""
        return self._components.pauses.is_paused(self._components.config.group_id, TopicPartition("", 0))
