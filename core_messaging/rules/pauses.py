"""Which partitions a person has paused. Pure: the time is an argument.

One record of the control topic says one thing: its key names a group, or a topic or a partition of it, and its value says
until when it is paused. A record without a value ends the pause. What cannot be read is ignored: anybody who may write the
topic may write anything.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from core_messaging.records import TopicPartition

LONGEST_NAME = 249  # of a group or a topic
MOST = 10_000  # pauses that are kept

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]


class PauseTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is paused: all of a group, one topic of it, or one partition."""

    group: _Name
    topic: _Name | None = None
    partition: Annotated[int, msgspec.Meta(ge=0)] | None = None

    def covers(self, group_id: str, source: TopicPartition) -> bool:
        """Whether *source* of *group_id* is part of it."""
        return (
            self.group == group_id
            and self.topic in (None, source.topic)
            and self.partition in (None, source.partition)
        )

    def __str__(self) -> str:
        topic = "" if self.topic is None else f", topic {self.topic}"
        partition = "" if self.partition is None else f", partition {self.partition}"
        return f"group {self.group}{topic}{partition}"


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """``until``: seconds since the epoch, None: until somebody resumes it. ``by``: who asked for it, in words."""

    until: float | None = None
    by: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] = ""


def encode_target(target: PauseTarget) -> bytes:
    """The key of a control record; the same target has the same key, so that compaction keeps its last word only."""
    return b"pause:" + msgspec.json.encode(target, order="sorted")


def encode_pause(pause: Pause) -> bytes:
    """The value of a control record."""
    return msgspec.json.encode(pause)


class PauseTable:
    """All pauses that the control topic holds."""

    def __init__(self) -> None:
        self._pauses: dict[PauseTarget, Pause] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> PauseTarget | None:
        """Take in one record of the control topic. What it is about; None where it says nothing that can be read."""
        found = _decoded(key, value)
        if found is None:
            return None
        target, pause = found
        if pause is None:
            self._pauses.pop(target, None)
        elif len(self._pauses) < MOST or target in self._pauses:
            self._pauses[target] = pause
        return target

    def covering(self, group_id: str, source: TopicPartition, now: float) -> tuple[PauseTarget, Pause] | None:
        """Return the pause that holds *source* of *group_id*; of several, the one that lasts longest.

        *now*: seconds since the epoch.
        """
        lasting = [
            (target, pause)
            for target, pause in self._pauses.items()
            if (pause.until is None or now < pause.until) and target.covers(group_id, source)
        ]
        return max(lasting, key=lambda each: _end(each[1]), default=None)

    def lasting(self, now: float) -> dict[PauseTarget, Pause]:
        """The pauses that are not over at *now*."""
        return {
            target: pause
            for target, pause in self._pauses.items()
            if pause.until is None or now < pause.until
        }

    def __len__(self) -> int:
        return len(self._pauses)


def _end(pause: Pause) -> float:
    return float("inf") if pause.until is None else pause.until


def _decoded(key: bytes | None, value: bytes | None) -> tuple[PauseTarget, Pause | None] | None:
    if key is None or not key.startswith(b"pause:"):
        return None
    try:
        target = msgspec.json.decode(key.removeprefix(b"pause:"), type=PauseTarget)
        return target, None if value is None else msgspec.json.decode(value, type=Pause)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
