"""A dead letter: the message as it came, and a few bounded headers that tell why it failed."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core_messaging.errors import text_of
from core_messaging.records import Headers, Outgoing, Record
from core_messaging.rules.blocked_keys import HEADER as UNBLOCK

PREFIX = "core-"
FACTS = (
    "original-topic",
    "original-partition",
    "original-offset",
    "original-timestamp",
    "worker",
    "group",
    "attempts",
    "error-type",
    "error-message",
    "failed-at",
)
# A replay takes these off. Another header with the same prefix belongs to the producer, and stays.
OURS = frozenset(PREFIX + fact for fact in FACTS)
REPLAYS = (
    PREFIX + "replays"
)  # how often a replay has published the message; it stays on a message that fails again
ERROR_TEXT = PREFIX + "error-message"
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
    """Make *record* a dead letter for the queue *topic*: same key, same value bytes, same headers plus ``core-…`` ones.

    Headers of an earlier dead-lettering are replaced, so replaying a message does not make it grow.
    *failed_at* is seconds since the epoch.
    """
    texts = (
        record.topic,
        str(record.partition),
        str(record.offset),
        str(record.timestamp),
        worker,
        group_id,
        str(attempts),
        type(error).__qualname__,
        text_of(error)[:MAX_ERROR_LENGTH],
        f"{failed_at:.3f}",
    )
    kept = without_core_headers(record.headers)
    facts = zip(FACTS, texts, strict=True)
    added = tuple((PREFIX + name, text.encode(errors="replace")) for name, text in facts)
    return Outgoing(topic=topic, value=record.value, key=record.key, headers=kept + added, forwarded=True)


def queue_of(error: type[BaseException], routes: Iterable[tuple[type[BaseException], str]]) -> str | None:
    """The dead-letter queue for an error of the class *error*: that of its nearest base class in *routes*.

    *routes*: exception classes and their queues. None: none of them is a base class.
    """
    queues = dict(routes)
    return next((queues[kind] for kind in error.__mro__ if kind in queues), None)


def smaller(letter: Outgoing) -> Outgoing | None:
    """Return *letter*, which is too large for its queue, with fewer of the headers that we add.

    First the text of the error is left out, then all headers that we add. None: nothing is left to leave out.
    """
    names = {name for name, _ in letter.headers}
    leave_out = {ERROR_TEXT} if ERROR_TEXT in names else OURS
    kept = tuple(pair for pair in letter.headers if pair[0] not in leave_out)
    return None if len(kept) == len(letter.headers) else msgspec.structs.replace(letter, headers=kept)


def has_facts(letter: Outgoing) -> bool:
    """Whether *letter* still says where it came from."""
    return any(name in OURS for name, _ in letter.headers)


def trace_headers(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """Return those of *headers* that connect a result with the trace of the message it was made of."""
    return tuple(pair for pair in headers if pair[0] in TRACE_HEADERS) if headers else ()


def without_core_headers(headers: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    """Return *headers* as the first producer wrote them, as a replay publishes them."""
    return tuple(pair for pair in headers if pair[0] not in OURS and pair[0] != UNBLOCK)
