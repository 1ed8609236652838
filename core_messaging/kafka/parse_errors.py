"""Bytes that the client cannot parse: where they are, and what it had parsed before them.

The client (0.14) fails in the middle of a call. It has moved past what it had parsed in that call, of this partition and of
others, and hands it out to nobody. It is still in the frames of the traceback.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import errors as kafka_errors

from core_messaging.records import Record


@dataclass(frozen=True, slots=True)
class Unreadable:
    """``source``: the client's partition. ``offset``: of the record, or of the batch of records, that was not parsed.
    ``before``: what the same call had parsed, by partition, in order."""

    source: Any
    offset: int
    before: Mapping[Any, Sequence[Record]]


def found_in(error: Exception) -> Unreadable | None:
    """What *error* of the client's ``getmany``, or of its buffer, is about. None: it is no such error, or the client is not the one we
    know, and what it had parsed has to be fetched anew by another."""
    frames = {frame.f_code.co_name: frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)}
    try:
        parser = frames["_unpack_records"]["self"]
        source, offset = parser._tp, parser.next_fetch_offset  # noqa: SLF001 - nobody else knows
        drained = frames.get("fetched_records", {}).get(
            "drained", {}
        )  # none where we read the client's buffer
        return Unreadable(source, offset, drained | {source: frames["getall"]["ret_list"]})
    except (KeyError, AttributeError):
        return None


def remedy(error: Exception) -> str:
    """What its reader can do."""
    if isinstance(error, kafka_errors.UnsupportedCodecError):
        return "install what the client needs for this compression (pip install cramjam)"
    return (
        "save the record if it is worth it, stop the group and move it past (kafka-consumer-groups --reset-offsets "
        "--to-offset)"
    )
