"""Different workers that read one topic in one group: Kafka gives each record to one of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from core_messaging.config import WorkerConfig


@dataclass(frozen=True, slots=True)
class SharedGroup:
    """*first* and *second* both read *topics* as members of *group_id*."""

    first: WorkerConfig
    second: WorkerConfig
    topics: tuple[str, ...]

    @property
    def group_id(self) -> str:
        return self.first.group_id

    def seen_from(self, one: WorkerConfig) -> str:
        """What is wrong, for people."""
        other = self.second if one is self.first else self.first
        return (
            f"{other.name} also reads {', '.join(self.topics)} in group {self.group_id}: each gets a part of the messages "
            "only; give each a group_id of its own"
        )


def shared_groups(configs: Sequence[WorkerConfig]) -> Iterator[SharedGroup]:
    """Every pair of *configs*, each of another worker, that share a topic and a group."""
    for first, second in combinations(configs, 2):
        topics = tuple(topic for topic in first.input_topics if topic in second.input_topics)
        if topics and first.group_id == second.group_id:
            yield SharedGroup(first, second, topics)
