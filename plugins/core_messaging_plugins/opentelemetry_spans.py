"""A span for each attempt, as a child of the sender's span. A batch is one span with a link to each message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.context import attach, detach
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from core_messaging import hookimpl
from core_messaging.config import WorkerConfig
from core_messaging.context import CARRIED, Context
from core_messaging.errors import cause_of
from core_messaging.plugins.hookspecs import Next
from core_messaging.records import Headers
from core_messaging_plugins.opentelemetry_metrics import Facts, processing
from core_messaging_plugins.opentelemetry_names import (
    ATTEMPT,
    BATCH,
    ERROR,
    GROUP,
    KEY,
    OFFSET,
    PARTITION,
    PROCESS,
    TOPIC,
    WORKER,
    error_type,
    key_text,
)
from core_messaging_plugins.opentelemetry_sending import extracted

tracer = trace.get_tracer("core_messaging")


@hookimpl
async def wrap_process(call_next: Next, worker: WorkerConfig, message: Any, context: Any) -> Any:
    """Process a message, or a batch of messages, inside a span."""
    if isinstance(context, list):
        return await _batch(call_next, worker, message, context)
    return await _single(call_next, worker, message, context)


async def _single(call_next: Next, worker: WorkerConfig, message: Any, context: Context) -> Any:
    attributes = {**_common(worker, context), ATTEMPT: context.attempt, **_of_message(context)}
    with _span(f"process {context.topic}", sent_by(context), attributes, _links([context])) as carried:
        context.carry = carried
        return await call_next(message, context)


async def _batch(call_next: Next, worker: WorkerConfig, messages: Any, contexts: list[Context]) -> Any:
    first = contexts[0]
    attributes = {**_common(worker, first), BATCH: len(contexts)}
    with _span(f"process {first.topic}", TraceContext(), attributes, _links(contexts)) as carried:
        for context in contexts:
            context.carry = carried
        of_all: Any = contexts  # a list for a batch
        return await call_next(messages, of_all)


@contextmanager
def _span(name: str, sender: TraceContext, attributes: Facts, links: Sequence[Link]) -> Iterator[Headers]:
    """Make a span for the block, with the sender's baggage. Yields both as headers.

    Every exception counts as an error. A SystemExit is a failed attempt, and a cancelled attempt did not finish. The SDK
    itself counts subclasses of Exception only.
    """
    token, started, failure = attach(sender), perf_counter(), None
    span = tracer.start_span(name, sender, SpanKind.CONSUMER, attributes, links)
    try:
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            carried = current()
            handed = CARRIED.set(carried)
            try:
                yield carried
            except BaseException as error:
                failure = error_type(error)
                span.set_attribute(ERROR, failure)
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, cause_of(error)))
                raise
            finally:
                CARRIED.reset(handed)
    finally:
        detach(token)
        processing().done(perf_counter() - started, attributes, failure)


def _common(worker: WorkerConfig, context: Context) -> dict[str, str | int]:
    return {
        **PROCESS,
        TOPIC: context.topic,
        PARTITION: str(context.partition),
        GROUP: worker.group_id,
        WORKER: worker.name,
    }


def _of_message(context: Context) -> dict[str, str | int]:
    key = {} if context.key is None else {KEY: key_text(context.key)}
    return {OFFSET: context.offset, **key}


def _links(contexts: Sequence[Context]) -> list[Link]:
    """Link to the span that sent each message, with its offset and key."""
    senders = [(trace.get_current_span(sent_by(context)).get_span_context(), context) for context in contexts]
    return [Link(sender, _of_message(context)) for sender, context in senders if sender.is_valid]


def sent_by(context: Context) -> TraceContext:
    """Read the trace context from the headers of a message; empty if they have none."""
    return extracted(context.headers)


def current() -> tuple[tuple[str, bytes], ...]:
    """Write the current span as headers."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple((name, value.encode()) for name, value in carrier.items())
