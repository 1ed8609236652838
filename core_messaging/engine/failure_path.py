"""What follows when a handler has raised, or when a message cannot be decoded: a retry, or the dead-letter queue."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

from core_messaging.context import Context
from core_messaging.engine.callbacks import Callbacks
from core_messaging.engine.components import Components
from core_messaging.engine.counters import drop_if_gone
from core_messaging.engine.dead_letter_limiter import DeadLetterLimiter
from core_messaging.engine.dead_letters import DeadLetters
from core_messaging.engine.key_blocker import KeyBlocker
from core_messaging.engine.message_logger import MessageLogger
from core_messaging.errors import KilledTheProcess, Undecodable
from core_messaging.logs.error_frames import without_frames
from core_messaging.rules.job import HeldBack, Job
from core_messaging.rules.retry import Decision, GiveUp, decide


class FailurePath:
    """Decides by the worker's retry policy, and hands what is given up to the dead letters."""

    def __init__(
        self,
        components: Components,
        callbacks: Callbacks,
        message_logger: MessageLogger,
        dead_letters: DeadLetters,
        key_blocker: KeyBlocker | None,
        limiter: DeadLetterLimiter | None,
    ) -> None:
        self._config = components.config
        self._decode = components.handler.decode
        self._timer = components.timer
        self._counters = components.counters
        self._clock = components.loop.time
        self._callbacks = callbacks
        self._message_logger = message_logger
        self._dead_letters = dead_letters
        self._key_blocker = key_blocker
        self._limiter = limiter

    async def failed(self, job: Job, message: Any, error: Exception, context: Context | None) -> bool:
        """An attempt raised *error*: another one follows later, or none. Whether the next message of its key may start."""
        decision = self.decide(job, error)
        if isinstance(decision, GiveUp):
            await self.gave_up(job, message, error, context, decision.reason)
            return not self._dead_letters.stop_the_worker and not isinstance(job.sending, HeldBack)
        await self.will_retry(job, message, error, context, decision.delay)
        without_frames(error)
        self._timer.park(job, self._clock() + decision.delay)
        return False

    def decide(self, job: Job, error: Exception, chance: float | None = None) -> Decision:
        """What the retry policy says about the attempt at *job* that raised *error*. *chance* (0 to 1) is for the jitter."""
        if chance is None:
            chance = random.random()  # noqa: S311 - jitter, not secrets
        return decide(error, job.counted_attempt, self._config.max_retries, self._config.retry_policy, chance)

    async def will_retry(
        self, job: Job, message: Any, error: Exception, context: Context | None, delay: float
    ) -> None:
        """Its attempt raised *error*, and another one follows in *delay* seconds: count it, tell the plugins, log it."""
        if await self._count_and_tell(job, message, error, context, delay):
            self._message_logger.will_retry(job, error, delay)
        job.next_attempt()

    async def will_halve(self, job: Job, message: Any, error: Exception, context: Context | None) -> None:
        """Its batch raised *error* and is halved: another attempt follows at once, and costs no retry."""
        await self._count_and_tell(job, message, error, context, 0.0)
        job.next_attempt(counted=False)

    async def _count_and_tell(
        self, job: Job, message: Any, error: Exception, context: Context | None, delay: float
    ) -> bool:
        """False: its partition is gone, and no plugin is told."""
        self._counters.failed += 1
        job.attempt_failed(error)
        if drop_if_gone(job, self._counters):
            return False
        self._counters.retried += 1
        await self._callbacks.retry(job, message, error, context, delay)
        return True

    async def undecodable(self, job: Job, error: Undecodable) -> None:
        """The value is not what the handler takes: no attempt was made, and none follows."""
        if drop_if_gone(job, self._counters) or self._has_to_wait(job, error):
            return
        self._counters.undecodable += 1
        await self._callbacks.undecodable(job, error)
        await self._dead_letters.send(job, None, error)

    async def gave_up(
        self, job: Job, message: Any, error: Exception, context: Context | None, reason: str
    ) -> None:
        """Its attempt raised *error*, and none follows."""
        self._counters.failed += 1
        await self.give_up(job, message, error, context, reason)
        self._counters.retried += isinstance(job.sending, HeldBack)

    async def give_up(
        self, job: Job, message: Any, error: BaseException, context: Context | None, reason: str
    ) -> None:
        """No attempt follows: ``on_error``, then the dead-letter queue."""
        if drop_if_gone(job, self._counters) or self._has_to_wait(job, error):
            return
        self._message_logger.gives_up(job, error, reason)
        if not self._dead_letters.stop_the_worker:
            self._counters.exhausted += 1
        await self._callbacks.failed(job, message, error, context)
        await self._dead_letters.send(job, message, error)

    async def resume(self, job: Job, error: BaseException) -> None:
        """*job* waited to be given up because of *error*, and its turn has come."""
        job.begin_giving_up()
        if isinstance(error, Undecodable):
            await self.undecodable(job, error)
            return
        message = None
        # Decoded once more, for ``on_error``; but not where decoding it may be what kills the process.
        if not isinstance(error, KilledTheProcess):
            with suppress(Exception):  # a model that looks at the time, say, may not take it any more
                message = self._decode(job.record.value)
        await self.give_up(job, message, error, None, "its turn to be given up has come")

    def begin_anew(self, job: Job) -> None:
        """*job* was held back, because it would have been one dead letter too many; its time has come."""
        if self._limiter is not None:
            self._limiter.begin_anew(job)

    def _has_to_wait(self, job: Job, error: BaseException) -> bool:
        """Whether *job* cannot be given up now."""
        waits = self._limiter is not None and self._limiter.holds_back(job, error)
        if not waits and self._key_blocker is not None:
            waits = self._key_blocker.waits_for_room(job, error)
        if waits:
            without_frames(error)
        return waits
