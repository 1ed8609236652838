"""What becomes of the topics that a worker reads, while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core_messaging.text.wording import counted


@dataclass(frozen=True, slots=True)
class TopicChange:
    """A change in words. ``replaced``: the topic was deleted, so offsets of it mean nothing in another one of its name."""

    topic: str
    text: str
    replaced: bool = False


class TopicChanges:
    """Compares the numbers of partitions of topics, look by look."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}  # of topics that are there

    def look(self, counts: Mapping[str, int]) -> list[TopicChange]:
        """Take in *counts*: topic -> its number of partitions, 0 where there is no such topic. Return what has changed."""
        known = [
            (topic, self._counts[topic], counts[topic]) for topic in sorted(self._counts.keys() & counts)
        ]
        self._counts = {topic: count for topic, count in counts.items() if count}
        return [change for topic, before, count in known if (change := _change(topic, before, count))]


def _change(topic: str, before: int, count: int) -> TopicChange | None:
    if not count:
        text = f"topic {topic} is gone: it was deleted, or this client may not see it any more. What was not read is gone with it"
        return TopicChange(topic, text, replaced=True)
    if count < before:
        text = f"topic {topic} was made anew: it has {counted(count, 'partition')}, and had {before}"
        return TopicChange(topic, text, replaced=True)
    if count == before:
        return None
    added = counted(count - before, "new partition")
    return TopicChange(topic, f"topic {topic} has {added}, read from the first record")
