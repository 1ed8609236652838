"""What a dead letter looks like: the message as it came, and a small bounded set of headers that tell why."""

from __future__ import annotations

from collections.abc import Iterable

from core_messaging.errors import text_of
from core_messaging.records import Headers, Outgoing, Record

PREFIX = "core-"
MAX_ERROR_LENGTH = 1024  # characters; a stack trace would grow with every round trip

# Trace context of a message that follows it to whatever is made of it (W3C Trace Context, W3C Baggage).
TRACE_HEADERS = frozenset({"traceparent", "tracestate", "baggage"})


def dead_letter(  # noqa: PLR0913 - facts of one record, all needed, all passed by name
    record: Record,
    *,
    topic: str,
    worker: str,
    group_id: str,
    attempts: int,
    error: BaseException,
    failed_at: float,
) -> Outgoing:
    """*record* for the dead-letter queue *topic*: same key, same value bytes, same headers plus ``core-…`` ones.

    Headers of an earlier dead-lettering are replaced, so replaying a message does not make it grow.
    *failed_at* is seconds since the epoch.
    """
    facts = {
        "original-topic": record.topic,
        "original-partition": str(record.partition),
        "original-offset": str(record.offset),
        "original-timestamp": str(record.timestamp),
        "worker": worker,
        "group": group_id,
        "attempts": str(attempts),
        "error-type": type(error).__qualname__,
        "error-message": text_of(error)[:MAX_ERROR_LENGTH],
        "failed-at": f"{failed_at:.3f}",
    }
    kept = tuple(pair for pair in record.headers if not pair[0].startswith(PREFIX))
    added = tuple((PREFIX + name, text.encode(errors="replace")) for name, text in facts.items())
    return Outgoing(topic=topic, value=record.value, key=record.key, headers=kept + added)


def trace_headers(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """Those of *headers* that tie a result to the trace of the message it came from."""
    return tuple(pair for pair in headers if pair[0] in TRACE_HEADERS) if headers else ()


def without_core_headers(headers: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    """The headers as the first producer wrote them; what a replay publishes."""
    return tuple(pair for pair in headers if not pair[0].startswith(PREFIX))
