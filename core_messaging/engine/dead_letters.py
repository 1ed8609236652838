"""Where messages go that are given up: to the dead-letter queue, or where the worker has none, out or nowhere."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from core_messaging.engine.callbacks import Callbacks
from core_messaging.engine.components import Components
from core_messaging.engine.counters import drop_if_gone
from core_messaging.engine.message_logger import MessageLogger
from core_messaging.engine.record_sender import RecordSender
from core_messaging.errors import (
    BrokerError,
    DeadLetterRefused,
    RecordRefused,
    RecordTooLarge,
    RetriesExhausted,
)
from core_messaging.logs.error_frames import without_frames
from core_messaging.records import Outgoing
from core_messaging.rules.dead_letter import dead_letter, smaller
from core_messaging.rules.job import Job, Sending, attempts_made


class DeadLetters:
    """Publishes dead letters, and finishes each message when the broker has acknowledged its dead letter.

    Without a ``dlq_topic`` the message is skipped, or the worker stops (``on_exhausted``).
    """

    def __init__(
        self,
        components: Components,
        callbacks: Callbacks,
        message_logger: MessageLogger,
        sender: RecordSender,
    ) -> None:
        self._config = components.config
        self._schedule = components.schedule
        self._counters = components.counters
        self._lifecycle = components.lifecycle
        self._callbacks = callbacks
        self._message_logger = message_logger
        self._sender = sender

    @property
    def stop_the_worker(self) -> bool:
        """Whether the worker stops when it gives a message up."""
        return self._config.dlq_topic is None and self._config.on_exhausted == "stop"

    async def send_untried(self, job: Job, error: BaseException) -> None:
        """Send *job* to the dead-letter queue although it was not tried, because of *error*."""
        self._counters.followed += 1
        if not drop_if_gone(job, self._counters):
            await self._callbacks.failed_untried(job, error)
            await self.send(job, None, error)

    async def send(self, job: Job, message: Any, error: BaseException) -> None:
        """Send *job* to the dead-letter queue because of *error*. *message* is what its value was decoded to."""
        if drop_if_gone(job, self._counters):
            return
        topic = self._config.dlq_topic_of(error)
        if topic is None:
            self._without_queue(job, error)
            return
        trace = self._message_logger.new_trace(error)
        if trace is None:  # else the line about the dead letter shows the frames
            without_frames(error)
        letter = self._letter(topic, job, error)
        sending = Sending(letter, message, error=error, trace=trace)
        job.wait_for_broker(sending)
        await self._publish(job, sending)

    def _letter(self, topic: str, job: Job, error: BaseException) -> Outgoing:
        return dead_letter(
            job.record,
            topic=topic,
            worker=self._config.name,
            group_id=self._config.group_id,
            attempts=attempts_made(job, error),
            error=error,
            failed_at=time.time(),
        )

    def _without_queue(self, job: Job, error: BaseException) -> None:
        if self.stop_the_worker:
            self._message_logger.stops(job, error)
            self._stop_at(job, RetriesExhausted(self._config.name, str(job), error))
            return
        self._message_logger.skipped(job, error)
        self._schedule.finish(job)

    def _stop_at(self, job: Job, error: RetriesExhausted) -> None:
        """Stop the worker. The message stays uncommitted: the next start begins with it, at once and with all its attempts."""
        job.assignment.retries.forget(job.record.offset)
        self._lifecycle.fail(error)

    async def _publish(self, job: Job, sending: Sending) -> None:
        error = await self._sender.publish(job, sending, partial(self._sender.answered, job))
        if error is not None:
            await self._not_stored(job, sending, error)

    async def resume(self, job: Job, sending: Sending, cause: BaseException) -> None:
        """The broker has answered, or the dead letter is due to be published again. *cause*: why *job* is given up."""
        if sending.ack is None:
            await self._publish(job, sending)
        elif (error := await self._sender.answer(job, sending)) is not None:
            await self._not_stored(job, sending, error)
        else:
            await self._stored(job, sending, cause)

    async def _stored(self, job: Job, sending: Sending, cause: BaseException) -> None:
        self._counters.dead_lettered += 1
        await self._callbacks.dead_lettered(job, cause, sending.outgoing.topic)
        self._message_logger.dead_lettered(job, cause, sending)
        if sending.is_shortened:
            self._message_logger.shortened(job, sending.outgoing)
        if self._config.on_dead_letter == "follow":
            job.assignment.blocked_keys.add(job.record.key)
        self._schedule.finish(job)

    async def _not_stored(self, job: Job, sending: Sending, error: BrokerError) -> None:
        if not isinstance(error, RecordRefused):
            self._sender.publish_later(job, sending, error)
            return
        less = smaller(sending.outgoing) if isinstance(error, RecordTooLarge) else None
        if less is not None:
            sending.shorten(less)
            if not drop_if_gone(job, self._counters):
                await self._publish(job, sending)
            return
        sending.restore()  # the topic may be mended meanwhile, and then takes all of it
        if self._config.on_exhausted == "stop":
            self._stop_at(job, DeadLetterRefused(self._config.name, str(job), error))
            return
        self._sender.publish_later(job, sending, error)
