"""A span of kind PRODUCER for each record that is published: results, dead letters and what ``get_producer`` sends."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any

import msgspec
from opentelemetry import propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from core_messaging.broker import Answer, Publisher, Sent
from core_messaging.errors import PublishFailed, text_of
from core_messaging.records import Headers, Outgoing, Receipt
from core_messaging_plugins.opentelemetry_metrics import sending
from core_messaging_plugins.opentelemetry_names import (
    DEAD_LETTER,
    ERROR,
    KEY,
    OFFSET,
    PARTITION,
    SEND,
    TOMBSTONE,
    TOPIC,
    error_type,
    key_text,
)

tracer = trace.get_tracer("core_messaging")


class TracedPublisher:
    """A publisher that makes a span for each record, from the call until its acknowledgement."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def start(self) -> None:
        """Start the publisher."""
        await self._publisher.start()

    async def close(self) -> None:
        """Close the publisher."""
        await self._publisher.close()

    async def publish(self, record: Outgoing) -> Sent:
        """Publish *record* inside a span, with the trace context in its headers."""
        started, sender = perf_counter(), sender_of(record.headers)
        span = tracer.start_span(f"send {record.topic}", sender, SpanKind.PRODUCER, _attributes(record))
        try:
            sent = await self._publisher.publish(_carrying(record, span, sender))
        except BaseException as error:
            _over(span, record, started, error)
            raise
        sent.add_done_callback(partial(_answered, span, record, started))
        return sent


def sender_of(headers: Headers) -> TraceContext:
    """Return the parent span: the current one if the headers name its trace or none, else the span in the headers."""
    named = extracted(headers)
    current, there = (trace.get_current_span(context).get_span_context() for context in (None, named))
    if not current.is_valid or (there.is_valid and there.trace_id != current.trace_id):
        return named
    return trace.set_span_in_context(trace.get_current_span(), named)


def extracted(headers: Headers) -> TraceContext:
    """Read the trace context from *headers*; empty if they have none."""
    # Kafka allows headers without a value.
    carrier = {name: value.decode(errors="replace") for name, value in headers if value is not None}
    return propagate.extract(carrier, TraceContext())


def _carrying(record: Outgoing, span: Span, sender: TraceContext) -> Outgoing:
    """Put the span into the headers of *record*. A dead letter, and a record with an unreadable trace, stay as they are."""
    names = {name for name, _ in record.headers}
    readable = trace.get_current_span(extracted(record.headers)).get_span_context().is_valid
    if record.forwarded or ("traceparent" in names and not readable):
        return record
    carrier: dict[str, str] = {}
    propagate.inject(carrier, trace.set_span_in_context(span, sender))
    kept = tuple(pair for pair in record.headers if pair[0] not in carrier)
    added = tuple((name, value.encode()) for name, value in carrier.items())
    return msgspec.structs.replace(record, headers=kept + added)


def _attributes(record: Outgoing) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {**SEND, TOPIC: record.topic}
    if record.key is not None:
        attributes[KEY] = key_text(record.key)
    if record.value is None:
        attributes[TOMBSTONE] = True
    if record.forwarded:
        attributes[DEAD_LETTER] = True
    return attributes


def _answered(span: Span, record: Outgoing, started: float, answer: Answer) -> None:
    error = PublishFailed(record.topic, "it was given up") if answer.cancelled() else answer.exception()
    if error is None and (receipt := _receipt_of(answer)) is not None:
        span.set_attributes({PARTITION: str(receipt.partition), OFFSET: receipt.offset})
    _over(span, record, started, error)


def _receipt_of(answer: Any) -> Receipt | None:
    """Return where the record is stored, if *answer* is a future with a result."""
    result = getattr(answer, "result", None)
    receipt = result() if callable(result) else None
    return receipt if isinstance(receipt, Receipt) else None


def _over(span: Span, record: Outgoing, started: float, error: BaseException | None) -> None:
    attributes: dict[str, AttributeValue] = {**SEND, TOPIC: record.topic}
    if error is not None:
        attributes[ERROR] = error_type(error)
        span.set_attribute(ERROR, error_type(error))
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, text_of(error)))
    span.end()
    sending().done(perf_counter() - started, attributes)
