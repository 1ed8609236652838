"""How far a consumer group is with one partition, by its commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.blocked_keys import BlockedKeys
from core_messaging.rules.commit_metadata import CommitNote, Run, is_ours


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """One partition as the broker has it.

    ``begin`` is its first offset, ``end`` the offset after its last record, ``committed`` the commit of the group.
    """

    source: TopicPartition
    begin: int
    end: int
    committed: Committed | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a group is with one partition.

    - ``committed``: the committed offset; None where the group has no commit yet
    - ``lag``: offsets from the committed one (or the beginning, where that is later) to the end
    - ``finished_beyond``: how many of these are finished, as far as the commit tells
    - ``gaps``: runs (first, last) of unfinished offsets before a finished one
    - ``attempts``: offset -> number of the next attempt, where it is not the first one
    - ``crashes``: members in a row that crashed without giving the partition back
    - ``blocked``: keys whose messages follow a dead letter
    - ``foreign``: the metadata of the commit is not ours, or of a newer version; what lies beyond the offset is unknown
    """

    source: TopicPartition
    committed: int | None
    end: int
    lag: int
    finished_beyond: int = 0
    gaps: tuple[Run, ...] = ()
    attempts: Mapping[int, int] = field(default_factory=dict)
    crashes: int = 0
    blocked: int = 0
    foreign: bool = False


def progress_of(offsets: PartitionOffsets) -> Progress:
    """Read the commit of *offsets* and its metadata."""
    commit = offsets.committed
    if commit is None:
        return Progress(offsets.source, None, offsets.end, offsets.end - offsets.begin)
    note = CommitNote.decode(commit.metadata)
    start = max(commit.offset, offsets.begin)  # retention may have been faster than the group
    runs = [(max(first, start), last) for first, last in note.finished(commit.offset) if last >= start]
    return Progress(
        offsets.source,
        commit.offset,
        offsets.end,
        max(0, offsets.end - start),
        finished_beyond=sum(last - first + 1 for first, last in runs),
        gaps=_gaps(start, runs),
        attempts=note.attempt_of(commit.offset),
        crashes=note.ownership.crashes,
        blocked=len(BlockedKeys(note.blocked)),
        foreign=bool(commit.metadata) and not is_ours(commit.metadata),
    )


def _gaps(start: int, runs: list[Run]) -> tuple[Run, ...]:
    """Return the gaps before finished *runs*. The first begins at *start*: the commit, or the first offset that is left."""
    gaps, position = [], start
    for first, last in runs:
        if first > position:
            gaps.append((position, first - 1))
        position = last + 1
    return tuple(gaps)
