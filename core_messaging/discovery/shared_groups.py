"""Finds different workers that read the same topic in the same group: Kafka gives each record to only one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from core_messaging.config import WorkerConfig


@dataclass(frozen=True, slots=True)
class SharedGroup:
    """Two workers that read ``topics`` in the same consumer group."""

    first: WorkerConfig
    second: WorkerConfig
    topics: tuple[str, ...]

    @property
    def group_id(self) -> str:
        """The consumer group of both."""
        return self.first.group_id

    def seen_from(self, one: WorkerConfig) -> str:
        """Describe the problem of worker *one* for the user."""
        other = self.second if one is self.first else self.first
        return (
            f"{other.name} also reads {', '.join(self.topics)} in group {self.group_id}: each gets only a part of the "
            "messages; give each a group_id of its own"
        )


def _shared(first: WorkerConfig, second: WorkerConfig) -> tuple[str, ...]:
    """The topics of both, as far as names and equal patterns tell."""
    if first.input_pattern is not None and first.input_pattern == second.input_pattern:
        return (first.inputs,)
    one, other = (filter(b.reads, a.input_topics) for a, b in ((first, second), (second, first)))
    return tuple(dict.fromkeys((*one, *other)))


def shared_groups(configs: Sequence[WorkerConfig]) -> Iterator[SharedGroup]:
    """Yield every pair of *configs* that share a topic and a group. Each config is of another worker."""
    for first, second in combinations(configs, 2):
        topics = _shared(first, second)
        if topics and first.group_id == second.group_id:
            yield SharedGroup(first, second, topics)
