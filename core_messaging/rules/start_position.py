"""Where a consumer group starts in a partition without a commit, and which records it finds missing."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote, Run
from core_messaging.text.wording import counted

OffsetReset = Literal["earliest", "latest", "stop"]  # "stop" begins as "earliest", and never skips
MAX_TOPICS = 64  # topics that a commit can name


def topic_id(topic: str) -> int:
    """Return a short number for the name *topic*, because the metadata of a commit has little room."""
    return zlib.crc32(topic.encode())


def began_with(counts: Mapping[str, int]) -> dict[int, int]:
    """Return what commits say of the topics that a group begins with. *counts*: name -> number of partitions."""
    first = sorted(counts.items())[:MAX_TOPICS]
    return {topic_id(topic): count for topic, count in first if count}


def beginning_of(commits: Iterable[Committed | None]) -> dict[int, int]:
    """Return what *commits* of a group say of its beginning; where they differ, the smaller number of partitions."""
    began: dict[int, int] = {}
    for commit in commits:
        for topic, count in (CommitNote.decode(commit.metadata).began if commit else {}).items():
            began[topic] = min(count, began.get(topic, count))
    return began


def reset_of(source: TopicPartition, *, has_commits: bool, began: Mapping[int, int]) -> OffsetReset:
    """Decide where a group with ``latest`` starts in *source*, for which it has no commit.

    A group without any commit begins at the end. Later only the partitions that it began with are read from their end. A
    partition that was added since then is read from its first record, because its records were written for this group too.
    """
    if not has_commits or source.partition < began.get(topic_id(source.topic), 0):
        return "latest"
    return "earliest"


def unread(first: int, last: int, finished: Sequence[Run]) -> int:
    """Count the offsets from *first* to *last* that are in no run of *finished*, which ascend."""
    total = max(0, last - first + 1)
    return total - sum(max(0, min(last, end) - max(first, start) + 1) for start, end in finished)


def gone_text(source: TopicPartition, position: int, begin: int, end: int, finished: Sequence[Run]) -> str:
    """Return the text for a *position* outside of the records that the broker has of *source*: offsets *begin* to *end* - 1."""
    what = what_is_gone(source, position, begin, end, finished)
    advice = ". Give the topic a longer retention, or the group more members" if position < begin else ""
    return f"{what}. Reading goes on at offset {begin}, the first one that is left{advice}"


def what_is_gone(source: TopicPartition, position: int, begin: int, end: int, finished: Sequence[Run]) -> str:
    """Return what has happened to the records at *position*, as ``gone_text`` gets it."""
    if position < begin:
        count = unread(position, begin - 1, finished)
        return (
            f"{source}: {counted(count, 'message')} that this group has not read {'is' if count == 1 else 'are'} gone "
            f"(offsets {position} to {begin - 1}; fewer where the topic is compacted or transactional): the broker "
            f"has deleted {'it' if count == 1 else 'them'}"
        )
    return (
        f"{source}: this group is at offset {position}, and the partition ends at {end}: the topic was made anew, or its end "
        "was lost. What was there is gone"
    )
