"""Compare the topics that workers need and declare with those of the cluster, and make them so. Deletes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core_messaging.config import WorkerConfig
from core_messaging.errors import ConfigurationError
from core_messaging.kafka.topic_admin import topic_admin
from core_messaging.operations.matching_topics import pattern_in_words, with_matching_topics
from core_messaging.rules.topic_plan import ActualTopic, Change, merged_declarations, plan_topics
from core_messaging.settings import Settings


@dataclass(frozen=True, slots=True)
class TopicUse:
    """A topic that workers need.

    Its declaration (or its bare name), who needs it, and how the cluster has it (None: it is missing).
    """

    topic: str
    workers: tuple[str, ...]
    actual: ActualTopic | None


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """Every topic in use, and the changes that make them as declared. ``patterns``: what patterns match, in words."""

    uses: tuple[TopicUse, ...]
    changes: tuple[Change, ...]
    patterns: tuple[str, ...] = ()


async def plan_of(settings: Settings, workers: Sequence[WorkerConfig]) -> TopicPlan:
    """Look at every topic of *workers*. Looking makes none.

    Raises ConfigurationError where two workers declare one topic in different ways; BrokerUnreachable, BrokerError.
    """
    workers = await with_matching_topics(settings, workers)
    declared, conflicts = merged_declarations(
        (worker.name, topic) for worker in workers for topic in worker.declared_topics
    )
    if conflicts:
        first = conflicts[0]
        raise ConfigurationError(
            f"workers {', '.join(first.workers)} declare the topic {first.topic} in different ways; "
            "declare it once, and import it"
        )
    users: dict[str, list[str]] = {}
    for worker in workers:
        for name in worker.topics:
            users.setdefault(name, []).append(worker.name)
    wanted = [declared.get(name, name) for name in sorted(users)]
    async with topic_admin(settings) as admin:
        actual = await admin.describe(sorted(users))
    changes = plan_topics(wanted, actual, settings.kafka_topic_partitions, settings.kafka_topic_replication)
    uses = [TopicUse(topic, tuple(users[str(topic)]), actual.get(str(topic))) for topic in wanted]
    patterns = tuple(words for worker in workers if (words := pattern_in_words(worker)))
    return TopicPlan(tuple(uses), tuple(changes), patterns)


async def apply_changes(settings: Settings, changes: Sequence[Change]) -> None:
    """Do *changes* one after the other; each may be repeated. Raises BrokerError at the first that is refused."""
    async with topic_admin(settings) as admin:
        for change in changes:
            await admin.apply(change)
