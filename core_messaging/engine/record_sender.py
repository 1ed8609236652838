"""Publishes results and dead letters, and waits for the broker's answers."""

from __future__ import annotations

import random
from asyncio import CancelledError
from collections.abc import Callable

from core_messaging.broker import Answer, Sent
from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.engine.components import Components
from core_messaging.engine.message_logger import MessageLogger
from core_messaging.errors import BrokerError, PublishFailed
from core_messaging.rules.assignment import FENCED
from core_messaging.rules.job import Job, Sending
from core_messaging.rules.retry import RetryPolicy

# Delays between two tries to publish a record: short ones at first, then patient ones.
PUBLISH_AGAIN = RetryPolicy(backoff="exponential", initial_delay=0.1, max_delay=15.0, jitter=0.2)


class RecordSender:
    """Publishes the record that a message has led to.

    The runner does not wait for the broker. The job leaves its runner and comes back with the answer, through
    ``Schedule.settlements``. It keeps its lane meanwhile, so results of one key are published in order.
    """

    def __init__(self, components: Components, message_logger: MessageLogger) -> None:
        self._publisher = components.publisher
        self._settlements = components.schedule.settlements
        self._runner_pool = components.runner_pool
        self._timer = components.timer
        self._clock = components.loop.time
        self._message_logger = message_logger

    async def publish(
        self, job: Job, sending: Sending, answered: Callable[[Answer], None]
    ) -> BrokerError | None:
        """Hand the record to the publisher. Why it does not take it; None: *answered* is called with the broker's answer."""
        try:
            ack = await self._publisher.publish(sending.outgoing)
        except (BrokerError, CancelledError) as error:
            return self.failure(job, sending, error)
        self.wait_for_answer(job, sending, ack, answered)
        return None

    def wait_for_answer(
        self, job: Job, sending: Sending, ack: Sent, answered: Callable[[Answer], None]
    ) -> None:
        """The publisher has the record; *answered* is called with the answer."""
        sending.sent(ack)
        self._runner_pool.unacked.add(job)
        ack.add_done_callback(answered)

    def answered(self, job: Job, answer: Answer) -> None:
        """The broker has answered: *job* is settled as soon as a settlement runner takes it."""
        # The error is looked at here, because for a partition that is gone nothing else looks at it, and asyncio would log it.
        _ = answer.cancelled() or answer.exception()
        if job.assignment.state is FENCED:
            self.forget(job)
            self._runner_pool.notify_quiet()
        else:  # also while the partition is revoked: what is acknowledged now may still be committed
            self._settlements.put(job)

    async def answer(self, job: Job, sending: Sending) -> BrokerError | None:
        """What the broker has answered: None if it has stored the record, else why not."""
        if sending.ack is None:
            raise AssertionError(f"the record of {job} was not published; please report this")
        try:
            await sending.ack
        except (BrokerError, CancelledError) as error:
            return self.failure(job, sending, error)
        self.forget(job)
        return None

    def failure(self, job: Job, sending: Sending, error: BrokerError | CancelledError) -> BrokerError:
        """Why the record is not stored. Raises *error* if it cancels this task."""
        if isinstance(error, CancelledError):
            if stopping_us(error):
                raise error
            # The producer was closed while it had the record.
            error = PublishFailed(sending.outgoing.topic, "the producer was closed")
        self.forget(job)
        sending.not_acknowledged()
        return error

    def publish_later(self, job: Job, sending: Sending, error: BrokerError) -> None:
        """The record is not stored because of *error*: publish it again after a delay."""
        delay = PUBLISH_AGAIN.delay(sending.tries, random.random())  # noqa: S311 - jitter, not secrets
        self._message_logger.not_published(job, sending.outgoing.topic, error)
        self._timer.park(job, self._clock() + delay)

    def forget(self, job: Job) -> None:
        """*job* does not wait for an answer any more."""
        self._runner_pool.unacked.discard(job)
