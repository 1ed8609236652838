"""Where a group's offsets are moved by hand. Pure: the caller has looked up offsets and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core_messaging.errors import ConfigurationError
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.rules.group_progress import PartitionOffsets

EARLIEST, LATEST = "earliest", "latest"


@dataclass(frozen=True, slots=True)
class ResetTarget:
    """What is asked for; exactly one is set.

    - ``edge``: ``earliest`` or ``latest``
    - ``offset``: this offset; of those that are not there any more, or not yet, the nearest one
    - ``back``: so many messages before the end
    - ``time``: the first message at or after this time
    """

    edge: str | None = None
    offset: int | None = None
    back: int | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """One partition. ``before``: None where the group has not committed there. ``after`` is committed.

    ``again``: messages that will be processed again. ``passed``: messages that will not be processed.
    """

    source: TopicPartition
    before: int | None
    after: Committed
    again: int
    passed: int


def parse_target(text: str) -> ResetTarget:
    """Read ``earliest``, ``latest``, ``1200`` (an offset), ``-50`` (before the end) or a time of ISO 8601.

    A time without a zone is local time. Raises ConfigurationError.
    """
    if text in (EARLIEST, LATEST):
        return ResetTarget(edge=text)
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        return ResetTarget(back=int(digits)) if text.startswith("-") else ResetTarget(offset=int(digits))
    try:
        time = datetime.fromisoformat(text)
        return ResetTarget(time=time if time.tzinfo else time.astimezone())
    except (ValueError, OverflowError):  # the second one of a year that the local zone cannot have
        raise ConfigurationError(
            f"--to {text!r} is no place in a topic; write earliest, latest, an offset (1200), -N for the last N messages, "
            "or a time (2026-01-31T12:00:00+00:00)"
        ) from None


def plan_reset(
    standings: Sequence[PartitionOffsets], target: ResetTarget, at_time: Mapping[TopicPartition, int]
) -> list[Reset]:
    """The resets of *standings*. *at_time*: for a target that is a time, the first offset at or after it; none: the end."""
    return [_reset(standing, _place(standing, target, at_time)) for standing in standings]


def _place(standing: PartitionOffsets, target: ResetTarget, at_time: Mapping[TopicPartition, int]) -> int:
    if target.edge == EARLIEST:
        return standing.begin
    if target.edge == LATEST:
        return standing.end
    if target.time is not None:
        wanted = at_time.get(standing.source, standing.end)
    else:
        wanted = target.offset if target.offset is not None else standing.end - (target.back or 0)
    return min(max(wanted, standing.begin), standing.end)


def _reset(standing: PartitionOffsets, place: int) -> Reset:
    """Finished runs and attempts are forgotten.

    Keys that are blocked stay blocked; the partition counts as given back in order.
    """
    commit = standing.committed
    note = CommitNote.decode(commit.metadata) if commit is not None else CommitNote()
    before = None if commit is None else commit.offset
    start = standing.begin if before is None else max(before, standing.begin)
    kept = CommitNote.of(place, (), {}, Ownership(), note.blocked, note.began)
    return Reset(
        standing.source,
        before,
        Committed(place, kept.encode()),
        again=max(0, start - place),
        passed=max(0, place - start),
    )
