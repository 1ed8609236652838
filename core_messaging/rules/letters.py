"""Dead letters as they are read back from their queue. Pure."""

from __future__ import annotations

import json
import math
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from core_messaging.definition.names import is_topic
from core_messaging.records import Record
from core_messaging.rules.dead_letter import PREFIX

FOLLOWS = (
    "FollowsADeadLetter"  # the error type of what was not tried, because an earlier one of its key failed
)
_LONGEST_NUMBER = 19  # digits of a signed 64-bit number
_NOT_OURS = "(no core headers)"

_WORKER = f"{PREFIX}worker"
_GROUP = f"{PREFIX}group"
_TOPIC = f"{PREFIX}original-topic"
_PARTITION = f"{PREFIX}original-partition"
_OFFSET = f"{PREFIX}original-offset"
_TYPE = f"{PREFIX}error-type"
_FAILED_AT = f"{PREFIX}failed-at"


class Origin(NamedTuple):
    """Where a message was before it was dead-lettered."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Letter:
    """One record of a dead-letter queue. Anybody may write to a queue, so every fact may be missing or wrong."""

    __slots__ = ("headers", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.headers: dict[str, bytes | None] = dict(
            record.headers
        )  # null is a value too; of two of one name the last counts, and ours are the last

    @property
    def is_ours(self) -> bool:
        """Whether it says where it came from."""
        return self.origin is not None

    @property
    def origin(self) -> Origin | None:
        """None where the record does not say it: it was not written by a worker, or was too large to say so."""
        topic = self.text("original-topic")
        partition, offset = number(self.headers.get(_PARTITION)), number(self.headers.get(_OFFSET))
        if partition is None or offset is None or not is_topic(topic):
            return None
        return Origin(topic, partition, offset)

    @property
    def failed_at(self) -> float:
        """Seconds since the epoch; the time of the record where it does not say."""
        try:
            told = float(self.headers.get(_FAILED_AT) or b"nan")
        except ValueError:
            told = math.nan
        return told if math.isfinite(told) else self.record.timestamp / 1000

    @property
    def error_type(self) -> str:
        """The type of the error that dead-lettered the message."""
        return self.text("error-type") or _NOT_OURS

    @property
    def raw_kind(self) -> tuple[bytes, bytes, bytes]:
        """Worker, original topic and error type, as they are stored: one look at a letter that is only counted."""
        get = self.headers.get
        return get(_WORKER) or b"", get(_TOPIC) or b"", get(_TYPE) or b""

    def text(self, fact: str) -> str:
        """What the header ``core-`` *fact* says; empty where there is none."""
        return text_of_bytes(self.headers.get(PREFIX + fact) or b"")

    def identity(self) -> bytes:
        """What one letter has and no other: where its message was, when it failed and in which group.

        The offset in the queue is no part of it: a queue that is made anew has the same offsets again. Only a record that
        does not say where it came from has nothing else.
        """
        origin = self.origin
        if origin is not None:
            return msgspec.json.encode([*origin, self.text("failed-at"), self.text("group")])
        record = self.record
        content = blake2b((record.key or b"") + b"\0" + (record.value or b""), digest_size=16).hexdigest()
        return msgspec.json.encode([None, record.partition, record.offset, record.timestamp, content])


def number(data: bytes | None) -> int | None:
    """*data* as a whole number from 0 up; None where it is none."""
    if data is None or not data.isdigit() or len(data) > _LONGEST_NUMBER:
        return None
    return int(data)


def readable(value: bytes) -> tuple[str, str] | None:
    """The kind of *value*, ``JSON`` or ``text``, and its text for people; None where it is no UTF-8."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    try:
        json.loads(text)
        # Shown as it is written: numbers keep their digits, and a repeated name is shown twice.
        return "JSON", msgspec.json.format(text, indent=2)
    except (ValueError, RecursionError):
        return "text", text


def text_of_bytes(data: bytes) -> str:
    """*data* as text; what is no UTF-8 is escaped."""
    return data.decode(errors="backslashreplace")
