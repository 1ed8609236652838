"""A span an attempt, as the child of whoever sent the message; a span a batch, with a link to each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from opentelemetry import propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.context import attach, detach
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.util.types import Attributes

from core_messaging import hookimpl
from core_messaging.config import WorkerConfig
from core_messaging.context import CARRIED, Context
from core_messaging.hookspecs import Next
from core_messaging.records import Headers

tracer = trace.get_tracer("core_messaging")

SYSTEM = {
    "messaging.system": "kafka",
    "messaging.operation.type": "process",
    "messaging.operation.name": "process",
}


@hookimpl
async def wrap_process(call_next: Next, worker: WorkerConfig, message: Any, context: Any) -> Any:
    if isinstance(context, list):
        return await _batch(call_next, worker, message, context)
    return await _single(call_next, worker, message, context)


async def _single(call_next: Next, worker: WorkerConfig, message: Any, context: Context) -> Any:
    attributes = {
        **_common(worker, context),
        "messaging.kafka.offset": context.offset,
        "core.attempt": context.attempt,
    }
    if context.key is not None:
        attributes["messaging.kafka.message.key"] = context.key.decode(errors="backslashreplace")
    with _span(f"process {context.topic}", sent_by(context), attributes) as carried:
        context.carry = carried
        return await call_next(message, context)


async def _batch(call_next: Next, worker: WorkerConfig, messages: Any, contexts: list[Context]) -> Any:
    first = contexts[0]
    attributes = {**_common(worker, first), "messaging.batch.message_count": len(contexts)}
    with _span(f"process {first.topic}", TraceContext(), attributes, _links(contexts)) as carried:
        for context in contexts:
            context.carry = carried
        return await call_next(messages, cast("Any", contexts))


@contextmanager
def _span(
    name: str, sender: TraceContext, attributes: Attributes, links: Sequence[Link] = ()
) -> Iterator[Headers]:
    """The current span inside the block, with the sender's baggage beside it; yields both as headers.

    Whatever ends the block with an exception is an error: a SystemExit is a failed attempt here, a cancellation one
    that did not come to its end. The SDK itself looks at Exceptions only.
    """
    token = attach(sender)
    span = tracer.start_span(name, sender, SpanKind.CONSUMER, attributes, links)
    try:
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            carried = current()
            handed = CARRIED.set(carried)
            try:
                yield carried
            except BaseException as error:
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
                raise
            finally:
                CARRIED.reset(handed)
    finally:
        detach(token)


def _common(worker: WorkerConfig, context: Context) -> dict[str, str | int]:
    return {
        **SYSTEM,
        "messaging.destination.name": context.topic,
        "messaging.destination.partition.id": str(context.partition),
        "messaging.consumer.group.name": worker.group_id,
        "core.worker": worker.name,
    }


def _links(contexts: Sequence[Context]) -> list[Link]:
    senders = (trace.get_current_span(sent_by(context)).get_span_context() for context in contexts)
    return [Link(sender) for sender in senders if sender.is_valid]


def sent_by(context: Context) -> TraceContext:
    """The trace that the message's headers name; an empty one where they name none."""
    # Kafka allows headers without a value.
    carrier = {name: value.decode(errors="replace") for name, value in context.headers if value is not None}
    return propagate.extract(carrier, TraceContext())


def current() -> tuple[tuple[str, bytes], ...]:
    """The current span as headers."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple((name, value.encode()) for name, value in carrier.items())
