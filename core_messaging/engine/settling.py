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
from core_messaging.context import Context
from core_messaging.engine.following import Following
from core_messaging.engine.handler import Call
from core_messaging.engine.hooks import MessageHooks
from core_messaging.engine.parts import Parts
from core_messaging.engine.remarks import Remarks, attempts_made
from core_messaging.error_frames import without_frames
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
from core_messaging.records import Outgoing, Record
from core_messaging.rules.assignment import FENCED
from core_messaging.rules.dead_letter import dead_letter, smaller, trace_headers
from core_messaging.rules.job import Condemned, Job, Sending
from core_messaging.rules.retry import Decision, GiveUp, RetryPolicy, decide
from core_messaging.stopping import stopping_us

# A broker that does not take a record: ask again soon, then patiently. The message keeps its lane meanwhile.
PUBLISH_AGAIN = RetryPolicy(backoff="exponential", initial_delay=0.1, max_delay=15.0, jitter=0.2)


# The handler returned a result: (job, message, result, context). What is left to wait for; usually nothing, and
# then no coroutine is made.
Succeeded = Callable[[Job, Any, Any, Context | None], Awaitable[None] | None]


class Settler:
    """Carries out what the rules decide about one worker's messages."""

    def __init__(self, parts: Parts) -> None:
        self._handler = parts.handler
        self._config = parts.config
        self._policy = parts.config.retry_policy
        self._schedule = parts.schedule
        self._slots = parts.slots
        self._publisher = parts.publisher
        self._observers = parts.observers
        self._counts = parts.counts
        self._clock = parts.loop.time
        self._park = parts.timer.park
        self._fail = parts.fail
        self.remarks = Remarks(parts.config, parts.loop.time)
        self._hooks = MessageHooks(parts, self.remarks)
        self.context = self._hooks.context
        config = parts.config
        self._stops = config.dlq_topic is None and config.on_exhausted == "stop"
        follows = parts.config.on_dead_letter == "follow"
        self.following = Following(parts, self._bury_unseen) if follows else None
        own, self._told = parts.handler.on_success, parts.observers.on_success
        self._success_wants_context = parts.observers.success_wants_context
        # One call less a message for each thing that cannot be.
        self._quiet = own is None and self._told is None  # nobody is told of a success
        self._done = self._finish if self._quiet else self._tell_success if own is None else self._tell_own
        self.succeeded: Succeeded = self._done if parts.config.output_topic is None else self._succeeded

    def _finish(self, job: Job, _message: Any, _result: Any, _context: Context | None) -> None:
        """``succeeded`` where nobody is told and nothing is published."""
        if self._schedule.finish(job):
            self._counts.succeeded += 1
        else:
            self._counts.dropped += 1

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
            self._counts.dropped += 1
            return None
        if self._told is not None:
            if context is None and self._success_wants_context:
                context = self.context(job)
            pending = self._told(worker=self._config, message=message, result=result, context=context)
            if pending is not None:
                return self._finish_after(pending, job)
        self._counts.succeeded += 1
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
            self.remarks.will_retry(job, error, delay)
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
        self._counts.failed += 1
        job.error = error
        if self._is_gone(job):
            return False
        self._counts.retried += 1
        await self._hooks.retry(job, message, error, context, delay)
        return True

    def _is_gone(self, job: Job) -> bool:
        """Whether *job* is of a partition that somebody else has by now: what became of it counts for nothing, is told to
        nobody, and is counted as dropped."""
        if job.chunk.assignment.hold is not FENCED:
            return False
        self._counts.dropped += 1
        return True

    async def undecodable(self, job: Job, error: Undecodable) -> None:
        """The value is not what the handler takes; no attempt was made and none will be."""
        if self._is_gone(job) or self._waits_for_room(job, error):
            return
        self._counts.undecodable += 1
        await self._hooks.own_undecodable(job, error)
        await self._bury(job, None, error, None)

    async def gave_up(
        self, job: Job, message: Any, error: Exception, context: Context | None, reason: str
    ) -> None:
        """Its attempt raised *error*, and none follows."""
        self._counts.failed += 1
        await self.give_up(job, message, error, context, reason)

    async def give_up(
        self, job: Job, message: Any, error: BaseException, context: Context | None, reason: str
    ) -> None:
        """No further attempt: ``on_error``, then the dead-letter queue."""
        if self._is_gone(job) or self._waits_for_room(job, error):
            return
        self.remarks.gives_up(job, error, reason)
        if not self._stops:
            self._counts.exhausted += 1
        await self._hooks.own_error(job, message, error, context)
        await self._bury(job, message, error, context)

    def _waits_for_room(self, job: Job, error: BaseException) -> bool:
        if self.following is None or not self.following.waits_for_room(job, error):
            return False
        without_frames(error)
        return True

    async def _bury_unseen(self, job: Job, error: BaseException) -> None:
        """To the dead-letter queue without having been decoded."""
        self._counts.followed += 1
        await self._bury(job, None, error, None)

    async def _bury(self, job: Job, message: Any, error: BaseException, context: Context | None) -> None:
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
        job.sending = sending = Sending(outgoing, message, error=error, trace=self.remarks.new_trace(error))
        if sending.trace is None:  # else the line about the dead letter shows them
            without_frames(error)
        await self.go_on(job, sending)

    def _without_dlq(self, job: Job, error: BaseException) -> None:
        if self._is_gone(job):
            return
        if self._stops:
            self.remarks.stops(job, error)
            self._stop_at(job, RetriesExhausted(self._config.name, str(job), error))
            return
        self.remarks.skipped(job, error)
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
            self._counts.dropped += 1
            return
        # As ``go_on`` begins, without its detours: this is done for every message.
        try:
            self._under_way(job, sending, await self._publisher.publish(outgoing))
        except (BrokerError, CancelledError) as error:
            await self._publish_failed(job, sending, error)

    async def go_on(self, job: Job, sending: Sending | Condemned) -> None:
        """The handler is done; what it led to must be acknowledged. Called again for every step of that.

        The runner does not wait for the broker: the job leaves its slot and comes back with the answer. Only
        its lane waits, so results of one key are published in the order of their messages.
        """
        if job.assignment.hold is FENCED:
            self._counts.dropped += 1
            self._slots.unacked.discard(job)
            return
        if isinstance(sending, Condemned):
            job.sending = None
            await self._give_up_condemned(job, sending.error)
            return
        try:
            if sending.ack is None:
                self._under_way(job, sending, await self._publisher.publish(sending.outgoing))
            else:
                await sending.ack
                self._slots.unacked.discard(job)
                await self._acknowledged(job, sending)
        except (BrokerError, CancelledError) as error:
            await self._publish_failed(job, sending, error)

    async def _publish_failed(self, job: Job, sending: Sending, error: BrokerError | CancelledError) -> None:
        if isinstance(error, CancelledError):
            if stopping_us(error):
                raise error
            # The publisher gave the record up (it was closed under us): not acknowledged, so not done.
            error = PublishFailed(sending.outgoing.topic, "the producer was closed")
        self._slots.unacked.discard(job)
        await self._not_acknowledged(job, sending, error)

    async def _give_up_condemned(self, job: Job, error: BaseException) -> None:
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
        self._slots.unacked.add(job)
        ack.add_done_callback(partial(self._answered, job, sending))

    def _answered(self, job: Job, sending: Sending, answer: Answer) -> None:
        # Looked at in any case: of a partition that is gone nobody else does, and the loop would complain.
        stored = not answer.cancelled() and answer.exception() is None
        if stored and self._quiet and sending.error is None:
            # Nothing is left that could wait, so it needs no runner.
            self._slots.unacked.discard(job)
            self._counts.published += 1
            self._finish(job, None, None, None)
            self._slots.wake_one()  # for what waited behind it
            self._slots.noticed()
            return
        self._schedule.resume(job)
        if job.assignment.hold is FENCED:
            self._slots.unacked.discard(job)
            self._slots.noticed()

    async def _acknowledged(self, job: Job, sending: Sending) -> None:
        if sending.error is None:
            self._counts.published += 1
            pending = self._done(job, sending.message, sending.result, None)
            if pending is not None:
                await pending
            return
        self._counts.dead_lettered += 1
        await self._hooks.dead_letter(job, sending.error, sending.outgoing.topic)
        self.remarks.dead_lettered(job, sending.error, sending.trace)
        if sending.is_shortened:
            self.remarks.shortened(job, sending.outgoing)
        if self.following is not None:
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
        self.remarks.not_published(job, sending.outgoing.topic, error)
        self._park(job, self._clock() + delay)

    async def _letter_refused(self, job: Job, sending: Sending, error: RecordRefused) -> bool:
        """The dead-letter queue will never take this letter as it is. False: it waits until its topic is mended."""
        less = smaller(sending.outgoing) if isinstance(error, RecordTooLarge) else None
        if less is not None:
            sending.shorten(less)
            await self.go_on(job, sending)
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
