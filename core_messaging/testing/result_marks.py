"""The results of a simulation say which message they are of, until they reach the simulated broker."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core_messaging.context import Context
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.rules.dead_letter import trace_headers
from core_messaging.testing.history import Place

MARK = "core-simulated-source"


def mark(context: Context) -> None:
    """What is published as the result of this message will say so, beside the headers that it would have."""
    carried: object = trace_headers(context.headers) if context.carry is None else context.carry
    # Anything else is the handler's mistake, and the engine's to tell.
    if isinstance(carried, Iterable):
        source = f"{context.partition} {context.offset} {context.topic}"
        context.carry = (*carried, (MARK, source.encode()))


def source_of(record: Outgoing) -> Place | None:
    """Where the message is that *record* is the result of; None where it is nobody's."""
    marks = [value for name, value in record.headers if name == MARK]
    if not marks:
        return None
    partition, offset, topic = marks[-1].decode().split(" ", 2)
    return TopicPartition(topic, int(partition)), int(offset)


def unmarked(record: Outgoing) -> Outgoing:
    """*record* as it would be without a simulation."""
    headers = tuple(pair for pair in record.headers if pair[0] != MARK)
    return record if len(headers) == len(record.headers) else msgspec.structs.replace(record, headers=headers)
