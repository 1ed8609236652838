"""Finds where stored bytes are that the client cannot parse, and the records that it had parsed before them.

The client (0.14) fails in the middle of a call. It has moved its positions past the records that it parsed in that call, of
this partition and of others, and does not return them. They are still in the frames of the traceback.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import errors as kafka_errors

from core_messaging.records import Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Where a record is that the client cannot parse.

    ``source``: the partition, as the client's named tuple. ``offset``: of the record, or of the batch of records.
    ``before``: the records that the same call had parsed, by partition, in order.
    """

    source: Any
    offset: int
    before: Mapping[Any, Sequence[Record]]


def unparsable_in(error: Exception) -> Unreadable | None:
    """Find the record that *error* of the client's ``getmany``, or of its buffer, is about.

    None: *error* is about something else, or this version of the client has other frames. Then another consumer has to
    fetch the parsed records again.
    """
    frames = {frame.f_code.co_name: frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)}
    try:
        parser = frames["_unpack_records"]["self"]
        source, offset = parser._tp, parser.next_fetch_offset  # noqa: SLF001 - it is nowhere else
        # ClientBuffer calls no fetched_records: there is nothing drained.
        drained = frames.get("fetched_records", {}).get("drained", {})
        return Unreadable(source, offset, drained | {source: frames["getall"]["ret_list"]})
    except (KeyError, AttributeError):
        return None


def remedy_for(error: Exception, source: TopicPartition, offset: int) -> str:
    """Return what the user can do about the record at *offset* of *source*, which cannot be parsed."""
    if isinstance(error, kafka_errors.UnsupportedCodecError):
        return "install the library that the client needs for this compression (pip install cramjam)"
    return (
        f"save the record if you need it, stop the worker, and move its group past the record: core kafka reset-offsets NAME "
        f"--to {offset + 1} --topic {source.topic} --partition {source.partition} (a later offset if it stands still again)"
    )
