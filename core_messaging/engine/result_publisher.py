"""Publishes what handlers return to the output topic."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Any

from core_messaging.broker import Answer
from core_messaging.context import Context
from core_messaging.engine.components import Components
from core_messaging.engine.failure_path import FailurePath
from core_messaging.engine.record_sender import RecordSender
from core_messaging.engine.success_path import SuccessPath
from core_messaging.errors import BrokerError, RecordRefused, Unencodable
from core_messaging.records import Outgoing, Record
from core_messaging.rules.assignment import FENCED
from core_messaging.rules.dead_letter import trace_headers
from core_messaging.rules.job import Job, Sending


class ResultPublisher:
    """Publishes each result, and finishes its message when the broker has acknowledged it."""

    def __init__(
        self,
        components: Components,
        sender: RecordSender,
        success_path: SuccessPath,
        failure_path: FailurePath,
    ) -> None:
        self._handler = components.handler
        self._output_topic = components.config.output_topic or ""  # none: then nothing is published here
        self._publisher = components.publisher
        self._runner_pool = components.runner_pool
        self._counters = components.counters
        self._sender = sender
        self._success_path = success_path
        self._failure_path = failure_path

    def publish(self, job: Job, message: Any, result: Any, context: Context | None) -> Awaitable[None] | None:
        """Publish *result* if it is not None, then finish *job*."""
        if result is None:
            return self._success_path.finish(job, message, result, context)
        return self._publish(job, message, result, context)

    async def _publish(self, job: Job, message: Any, result: Any, context: Context | None) -> None:
        try:
            value = self._handler.encode(result)
            headers = trace_headers(job.record.headers) if context is None else _carried(job.record, context)
        except Unencodable as error:
            # The handler would return the same again, so no attempt follows.
            await self._failure_path.give_up(job, message, error, context, "its result cannot be encoded")
            return
        outgoing = Outgoing(self._output_topic, value, job.record.key, headers)
        sending = Sending(outgoing, message, result=result)
        job.wait_for_broker(sending)
        if job.assignment.state is FENCED:
            self._counters.dropped += 1
            return
        # As ``RecordSender.publish``, without its calls: this is done for every message.
        try:
            ack = await self._publisher.publish(outgoing)
        except (BrokerError, CancelledError) as error:
            await self._not_stored(job, sending, self._sender.failure(job, sending, error))
            return
        self._sender.wait_for_answer(job, sending, ack, partial(self._answered, job))

    def _answered(self, job: Job, answer: Answer) -> None:
        if self._success_path.has_hooks or answer.cancelled() or answer.exception() is not None:
            self._sender.answered(job, answer)
            return
        # Nothing is left that could wait, so no runner is needed.
        self._runner_pool.unacked.discard(job)
        self._counters.published += 1
        self._success_path.finish(job, None, None, None)
        self._runner_pool.runners.wake_one()  # for the message that waited behind it
        self._runner_pool.notify_quiet()

    async def resume(self, job: Job, sending: Sending) -> None:
        """The broker has answered, or the record is due to be published again."""
        if sending.ack is None:
            error = await self._sender.publish(job, sending, partial(self._answered, job))
        else:
            error = await self._sender.answer(job, sending)
            if error is None:
                await self._stored(job, sending)
        if error is not None:
            await self._not_stored(job, sending, error)

    async def _stored(self, job: Job, sending: Sending) -> None:
        self._counters.published += 1
        pending = self._success_path.finish(job, sending.message, sending.result, None)
        if pending is not None:
            await pending

    async def _not_stored(self, job: Job, sending: Sending, error: BrokerError) -> None:
        if not isinstance(error, RecordRefused):
            self._sender.publish_later(job, sending, error)
            return
        # The broker will never take it. The work is done, but its result is lost: not a success.
        job.begin_giving_up()
        await self._failure_path.give_up(job, sending.message, error, None, "its result is refused")


def _carried(record: Record, context: Context) -> tuple[tuple[str, bytes], ...]:
    """The headers of a result: those that the handler has chosen, or those of the trace. Raises Unencodable."""
    carry: object = context.carry
    if carry is None:
        return trace_headers(record.headers)
    if not isinstance(carry, Iterable):
        raise Unencodable(type(carry).__name__, "context.carry has to be pairs of a name and bytes")
    return tuple(carry)
