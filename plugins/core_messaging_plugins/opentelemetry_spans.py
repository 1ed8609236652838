"""A span an attempt, as the child of whoever sent the message; a span a batch, with a link to each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from opentelemetry import propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace import Link, SpanKind

from core_messaging import hookimpl
from core_messaging.config import WorkerConfig
from core_messaging.context import Context
from core_messaging.hookspecs import Next

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
    with tracer.start_as_current_span(
        f"process {context.topic}", sent_by(context), SpanKind.CONSUMER, attributes
    ):
        context.carry = current()
        return await call_next(message, context)


async def _batch(call_next: Next, worker: WorkerConfig, messages: Any, contexts: list[Context]) -> Any:
    first = contexts[0]
    attributes = {**_common(worker, first), "messaging.batch.message_count": len(contexts)}
    with tracer.start_as_current_span(
        f"process {first.topic}", TraceContext(), SpanKind.CONSUMER, attributes, links=_links(contexts)
    ):
        carried = current()
        for context in contexts:
            context.carry = carried
        return await call_next(messages, cast("Any", contexts))


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
    carrier = {name: value.decode(errors="replace") for name, value in context.headers}
    return propagate.extract(carrier, TraceContext())


def current() -> tuple[tuple[str, bytes], ...]:
    """The current span as headers."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple((name, value.encode()) for name, value in carrier.items())
