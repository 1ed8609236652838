"""From a handler's outcome to the verdict: done, retry, or dead letter. Every path of a message ends here."""

from __future__ import annotations

import random
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from core_messaging.broker import Answer, Sent
from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.context import Context
from core_messaging.engine.callbacks import MessageHooks
from core_messaging.engine.components import Components
from core_messaging.engine.handler import Call
from core_messaging.engine.key_blocker import KeyBlocker
from core_messaging.engine.message_logger import MessageLogger, attempts_made
from core_messaging.errors import (
    BrokerError,
    DeadLetterRefused,
    KilledTheProcess,
    PublishFailed,
    RecordRefused,
    RecordTooLarge,
    RetriesExhausted,
    Undecodable,
    Unencodable,
)
from core_messaging.logs.error_frames import without_frames
from core_messaging.records import Outgoing, Record
from core_messaging.rules.assignment import FENCED
from core_messaging.rules.dead_letter import dead_letter, smaller, trace_headers
from core_messaging.rules.job import GivingUp, Job, Sending
from core_messaging.rules.retry import Decision, GiveUp, RetryPolicy, decide

# A broker that does not take a record: ask again soon, then patiently. The message keeps its lane meanwhile.
PUBLISH_AGAIN = RetryPolicy(backoff="exponential", initial_delay=0.1, max_delay=15.0, jitter=0.2)


# The handler returned a result: (job, message, result, context). What is left to wait for; usually nothing, and
# then no coroutine is made.
Succeeded = Callable[[Job, Any, Any, Context | None], Awaitable[None] | None]


class Settlement:
    """Carries out what the rules decide about one worker's messages."""

    def __init__(self, components: Components) -> None:
        self._handler = components.handler
        self._config = components.config
        self._policy = components.config.retry_policy
        self._schedule = components.schedule
        self._runner_pool = components.runner_pool
        self._publisher = components.publisher
        self._observers = components.observers
        self._counters = components.counters
        self._clock = components.loop.time
        self._park = components.timer.park
        self._fail = components.fail
        self.message_logger = MessageLogger(components.worker_log, components.config, components.loop.time)
        self._hooks = MessageHooks(components, self.message_logger)
        self.context = self._hooks.context
        config = components.config
        self._stops = config.dlq_topic is None and config.on_exhausted == "stop"
        follows = components.config.on_dead_letter == "follow"
        self.key_blocker = KeyBlocker(components, self._dead_letter_undecoded) if follows else None
        own, self._told = components.handler.on_success, components.observers.on_success
        self._success_wants_context = components.observers.success_wants_context
        # One call less a message for each thing that cannot be.
        self._quiet = own is None and self._told is None  # nobody is told of a success
        self._done = self._finish if self._quiet else self._tell_success if own is None else self._tell_own
        self.succeeded: Succeeded = self._done if components.config.output_topic is None else self._succeeded

    def _finish(self, job: Job, _message: Any, _result: Any, _context: Context | None) -> None:
        """``succeeded`` where nobody is told and nothing is published."""
        if self._schedule.finish(job):
            self._counters.succeeded += 1
        else:
            self._counters.dropped += 1

    def _succeeded(
        self, job: Job, message: Any, result: Any, context: Context | None
    ) -> Awaitable[None] | None:
        if result is None:
            return self._done(job, message, result, context)
        return self._publish_result(job, message, result, context)

    async def _tell_own(self, job: Job, message: Any, result: Any, context: Context | None) -> None:
        """``succeeded`` where the worker has an ``on_success`` of its own."""
        if job.chunk.assignment.hold is not FENCED:
            own = cast("Call", self._handler.on_success)
            await self._hooks.call_own("on_success", own, job, message, result, context)
        pending = self._tell_success(job, message, result, context)
        if pending is not None:
            await pending

    def _tell_success(
        self, job: Job, message: Any, result: Any, context: Context | None
    ) -> Awaitable[None] | None:
        """``succeeded`` where plugins are told."""
        if job.chunk.assignment.hold is FENCED:
            self._counters.dropped += 1
            return None
        if self._told is not None:
            if context is None and self._success_wants_context:
                context = self.context(job)
            pending = self._told(worker=self._config, message=message, result=result, context=context)
            if pending is not None:
                return self._finish_after(pending, job)
        self._counters.succeeded += 1
        self._schedule.finish(job)
        return None

    async def _finish_after(self, pending: Awaitable[None], job: Job) -> None:
        await pending
        self._finish(job, None, None, None)

    async def failed(self, job: Job, message: Any, error: Exception, context: Context | None) -> bool:
        """An attempt raised *error*: another one later, or never. Whether the next message of its key may start."""
        decision = self.decide(job, error)
        if isinstance(decision, GiveUp):
            await self.gave_up(job, message, error, context, decision.reason)
            return not self._stops
        await self.will_retry(job, message, error, context, decision.delay)
        without_frames(error)
        self._park(job, self._clock() + decision.delay)
        return False

    def decide(self, job: Job, error: Exception, chance: float | None = None) -> Decision:
        """What the worker's policy says about the attempt at *job* that raised *error*; *chance* feeds the jitter."""
        if chance is None:
            chance = random.random()  # noqa: S311 - jitter, not secrets
        return decide(error, job.counted_attempt, self._config.max_retries, self._policy, chance)

    async def will_retry(
        self, job: Job, message: Any, error: Exception, context: Context | None, delay: float
    ) -> None:
        """Its attempt raised *error*, and another one follows in *delay* seconds: count it and say so."""
        if await self._tries_again(job, message, error, context, delay):
            self.message_logger.will_retry(job, error, delay)
        job.attempt += 1

    async def will_halve(self, job: Job, message: Any, error: Exception, context: Context | None) -> None:
        """Its batch raised *error*, and is halved: another attempt follows at once, and costs no retry."""
        await self._tries_again(job, message, error, context, 0.0)
        job.attempt += 1
        job.spared += 1

    async def _tries_again(
        self, job: Job, message: Any, error: Exception, context: Context | None, delay: float
    ) -> bool:
        """False: its partition is gone, and nobody is told."""
        self._counters.failed += 1
        job.error = error
        if self._is_gone(job):
            return False
        self._counters.retried += 1
        await self._hooks.retry(job, message, error, context, delay)
        return True

    def _is_gone(self, job: Job) -> bool:
        """Whether *job* is of a partition that somebody else has by now: what became of it counts for nothing, is told to
        nobody, and is counted as dropped."""
        if job.chunk.assignment.hold is not FENCED:
            return False
        self._counters.dropped += 1
        return True

    async def undecodable(self, job: Job, error: Undecodable) -> None:
        """The value is not what the handler takes; no attempt was made and none will be."""
        if self._is_gone(job) or self._waits_for_room(job, error):
            return
        self._counters.undecodable += 1
        await self._hooks.own_undecodable(job, error)
        await self._dead_letter(job, None, error, None)

    async def gave_up(
        self, job: Job, message: Any, error: Exception, context: Context | None, reason: str
    ) -> None:
        """Its attempt raised *error*, and none follows."""
        self._counters.failed += 1
        await self.give_up(job, message, error, context, reason)

    async def give_up(
        self, job: Job, message: Any, error: BaseException, context: Context | None, reason: str
    ) -> None:
        """No further attempt: ``on_error``, then the dead-letter queue."""
        if self._is_gone(job) or self._waits_for_room(job, error):
            return
        self.message_logger.gives_up(job, error, reason)
        if not self._stops:
            self._counters.exhausted += 1
        await self._hooks.own_error(job, message, error, context)
        await self._dead_letter(job, message, error, context)

    def _waits_for_room(self, job: Job, error: BaseException) -> bool:
        if self.key_blocker is None or not self.key_blocker.waits_for_room(job, error):
            return False
        without_frames(error)
        return True

    async def _dead_letter_undecoded(self, job: Job, error: BaseException) -> None:
        """To the dead-letter queue without having been decoded."""
        self._counters.followed += 1
        await self._dead_letter(job, None, error, None)

    async def _dead_letter(
        self, job: Job, message: Any, error: BaseException, context: Context | None
    ) -> None:
        if self._is_gone(job):
            return
        await self._hooks.error(job, message, error, context)
        topic = self._config.dlq_topic
        if topic is None:
            self._without_dlq(job, error)
            return
        outgoing = dead_letter(
            job.record,
            topic=topic,
            worker=self._config.name,
            group_id=self._config.group_id,
            attempts=attempts_made(job, error),
            error=error,
            failed_at=time.time(),
        )
        job.sending = sending = Sending(
            outgoing, message, error=error, trace=self.message_logger.new_trace(error)
        )
        if sending.trace is None:  # else the line about the dead letter shows them
            without_frames(error)
        await self.resume_settlement(job, sending)

    def _without_dlq(self, job: Job, error: BaseException) -> None:
        if self._is_gone(job):
            return
        if self._stops:
            self.message_logger.stops(job, error)
            self._stop_at(job, RetriesExhausted(self._config.name, str(job), error))
            return
        self.message_logger.skipped(job, error)
        self._schedule.finish(job)

    def _stop_at(self, job: Job, error: RetriesExhausted) -> None:
        """End the worker. The message is not finished, so it stays uncommitted and the next start begins with it: at once,
        and with all its attempts."""
        job.assignment.attempts.pop(job.record.offset, None)
        self._fail(error)

    async def _publish_result(self, job: Job, message: Any, result: Any, context: Context | None) -> None:
        try:
            value = self._handler.encode(result)
            headers = trace_headers(job.record.headers) if context is None else _carried(job.record, context)
        except Unencodable as error:
            # The handler would return the same again: trying again helps nobody.
            await self.give_up(job, message, error, context, "its result cannot be encoded")
            return
        outgoing = Outgoing(
            topic=cast("str", self._config.output_topic), value=value, key=job.record.key, headers=headers
        )
        job.sending = sending = Sending(outgoing, message, result=result)
        if job.chunk.assignment.hold is FENCED:
            self._counters.dropped += 1
            return
        # As ``resume_settlement`` begins, without its detours: this is done for every message.
        try:
            self._under_way(job, sending, await self._publisher.publish(outgoing))
        except (BrokerError, CancelledError) as error:
            await self._publish_failed(job, sending, error)

    async def resume_settlement(self, job: Job, sending: Sending | GivingUp) -> None:
        """The handler is done; what it led to must be acknowledged. Called again for every step of that.

        The runner does not wait for the broker: the job leaves its slot and comes back with the answer. Only
        its lane waits, so results of one key are published in the order of their messages.
        """
        if job.assignment.hold is FENCED:
            self._counters.dropped += 1
            self._runner_pool.unacked.discard(job)
            return
        if isinstance(sending, GivingUp):
            job.sending = None
            await self._resume_giving_up(job, sending.error)
            return
        try:
            if sending.ack is None:
                self._under_way(job, sending, await self._publisher.publish(sending.outgoing))
            else:
                await sending.ack
                self._runner_pool.unacked.discard(job)
                await self._acknowledged(job, sending)
        except (BrokerError, CancelledError) as error:
            await self._publish_failed(job, sending, error)

    async def _publish_failed(self, job: Job, sending: Sending, error: BrokerError | CancelledError) -> None:
        if isinstance(error, CancelledError):
            if stopping_us(error):
                raise error
            # The publisher gave the record up (it was closed under us): not acknowledged, so not done.
            error = PublishFailed(sending.outgoing.topic, "the producer was closed")
        self._runner_pool.unacked.discard(job)
        await self._not_acknowledged(job, sending, error)

    async def _resume_giving_up(self, job: Job, error: BaseException) -> None:
        if isinstance(error, Undecodable):
            await self.undecodable(job, error)
            return
        message = None
        # Decoded once more, for ``on_error``; but not where decoding it is what may kill.
        if not isinstance(error, KilledTheProcess):
            with suppress(Exception):  # a model that looks at the time, say, may not take it any more
                message = self._handler.decode(job.record.value)
        await self.give_up(job, message, error, None, "it was condemned")

    def _under_way(self, job: Job, sending: Sending, ack: Sent) -> None:
        """The publisher has the record; ``_answered`` goes on from here."""
        sending.ack = ack
        self._runner_pool.unacked.add(job)
        ack.add_done_callback(partial(self._answered, job, sending))

    def _answered(self, job: Job, sending: Sending, answer: Answer) -> None:
        # Looked at in any case: of a partition that is gone nobody else does, and the loop would complain.
        stored = not answer.cancelled() and answer.exception() is None
        if stored and self._quiet and sending.error is None:
            # Nothing is left that could wait, so it needs no runner.
            self._runner_pool.unacked.discard(job)
            self._counters.published += 1
            self._finish(job, None, None, None)
            self._runner_pool.wake_one()  # for what waited behind it
            self._runner_pool.notify_quiet()
            return
        self._schedule.resume(job)
        if job.assignment.hold is FENCED:
            self._runner_pool.unacked.discard(job)
            self._runner_pool.notify_quiet()

    async def _acknowledged(self, job: Job, sending: Sending) -> None:
        if sending.error is None:
            self._counters.published += 1
            pending = self._done(job, sending.message, sending.result, None)
            if pending is not None:
                await pending
            return
        self._counters.dead_lettered += 1
        await self._hooks.dead_letter(job, sending.error, sending.outgoing.topic)
        self.message_logger.dead_lettered(job, sending.error, sending.trace)
        if sending.is_shortened:
            self.message_logger.shortened(job, sending.outgoing)
        if self.key_blocker is not None:
            job.assignment.blocked.add(job.record.key)
        self._schedule.finish(job)

    async def _not_acknowledged(self, job: Job, sending: Sending, error: BrokerError) -> None:
        sending.ack = None
        sending.tries += 1
        if isinstance(error, RecordRefused):
            if sending.error is None:
                # A result the broker will never take. The work is done, but its result is lost: not a success.
                job.sending = None
                await self.give_up(job, sending.message, error, None, "its result is refused")
                return
            if await self._letter_refused(job, sending, error):
                return
        delay = PUBLISH_AGAIN.delay(sending.tries, random.random())  # noqa: S311 - jitter, not secrets
        self.message_logger.not_published(job, sending.outgoing.topic, error)
        self._park(job, self._clock() + delay)

    async def _letter_refused(self, job: Job, sending: Sending, error: RecordRefused) -> bool:
        """The dead-letter queue will never take this letter as it is. False: it waits until its topic is mended."""
        less = smaller(sending.outgoing) if isinstance(error, RecordTooLarge) else None
        if less is not None:
            sending.shorten(less)
            await self.resume_settlement(job, sending)
            return True
        sending.restore()  # the topic may be mended meanwhile, and then takes all of it
        if self._config.on_exhausted == "stop":
            self._stop_at(job, DeadLetterRefused(self._config.name, str(job), error))
            return True
        return False


def _carried(record: Record, context: Context) -> tuple[tuple[str, bytes], ...]:
    """The headers of a result: those that the handler has chosen, or those of the trace. Raises Unencodable."""
    carry: object = context.carry
    if carry is None:
        return trace_headers(record.headers)
    if not isinstance(carry, Iterable):
        raise Unencodable(type(carry).__name__, "context.carry has to be pairs of a name and bytes")
    return tuple(carry)
