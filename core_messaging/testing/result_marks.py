"""Marks each result in a simulation with the message that it belongs to, until the simulated broker gets it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core_messaging.context import Context
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.rules.dead_letter import trace_headers
from core_messaging.testing.history import Place

MARK = "core-simulated-source"


def mark(context: Context) -> None:
    """Add a header to the result of this message that names the message."""
    carried: object = trace_headers(context.headers) if context.carry is None else context.carry
    # Anything else is a mistake of the handler, and the engine reports it.
    if isinstance(carried, Iterable):
        source = f"{context.partition} {context.offset} {context.topic}"
        context.carry = (*carried, (MARK, source.encode()))


def source_of(record: Outgoing) -> Place | None:
    """Return the place of the message that *record* is the result of; None if it is no result."""
    marks = [value for name, value in record.headers if name == MARK]
    if not marks:
        return None
    partition, offset, topic = marks[-1].decode().split(" ", 2)
    return TopicPartition(topic, int(partition)), int(offset)


def unmarked(record: Outgoing) -> Outgoing:
    """Return *record* without the mark."""
    headers = tuple(pair for pair in record.headers if pair[0] != MARK)
    return record if len(headers) == len(record.headers) else msgspec.structs.replace(record, headers=headers)
