"""What has to change in a cluster so that its topics are as workers declare them. Pure. Nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from core_messaging.options import Topic, same_topic


@dataclass(frozen=True, slots=True)
class ActualTopic:
    """A topic as the cluster has it. ``config``: the values in force, defaults included."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


class Kind(Enum):
    """What a change does."""

    CREATE = "create"
    ADD_PARTITIONS = "add partitions"
    ALTER_CONFIG = "alter config"
    IMPOSSIBLE = "not possible"


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a plan. ``text`` says it to a person; ``partitions`` and ``config`` are what is to be from then on."""

    kind: Kind
    topic: str
    text: str
    partitions: int | None = None
    replication: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conflict:
    """One topic that is declared in two ways, and by whom."""

    topic: str
    workers: tuple[str, ...]


def merged_declarations(
    declared: Iterable[tuple[str, Topic]],
) -> tuple[dict[str, Topic], list[Conflict]]:
    """*declared*: pairs of a worker's name and a topic that it declares. Topics by name, and those in conflict."""
    topics: dict[str, Topic] = {}
    owners: dict[str, list[str]] = {}
    conflicts: set[str] = set()
    for worker, topic in declared:
        name = str(topic)
        owners.setdefault(name, []).append(worker)
        if not same_topic(topics.setdefault(name, topic), topic):
            conflicts.add(name)
    return topics, [Conflict(name, tuple(dict.fromkeys(owners[name]))) for name in sorted(conflicts)]


def plan_topics(
    wanted: Iterable[str], actual: Mapping[str, ActualTopic], partitions: int, replication: int
) -> list[Change]:
    """The changes for *wanted*, each a name or a ``Topic``, in its order.

    *partitions* and *replication* are for topics that are made and do not declare their own.
    """
    changes: list[Change] = []
    for topic in wanted:
        found = actual.get(str(topic))
        if found is None:
            changes.append(_create(topic, partitions, replication))
        elif isinstance(topic, Topic):
            changes += _adjust(topic, found)
    return changes


def _create(topic: str, partitions: int, replication: int) -> Change:
    declared = topic if isinstance(topic, Topic) else Topic(topic)
    count, copies = declared.partitions or partitions, declared.replication or replication
    config = "".join(f", {name}={value}" for name, value in declared.config.items())
    text = f"partitions={count}, replication={copies}{config}"
    return Change(Kind.CREATE, str(topic), text, count, copies, dict(declared.config))


def _adjust(topic: Topic, found: ActualTopic) -> list[Change]:
    changes = []
    if topic.partitions is not None and topic.partitions != found.partitions:
        changes.append(_partitions(topic, topic.partitions, found))
    if topic.replication is not None and topic.replication != found.replication:
        text = (
            f"replication is {found.replication} and declared as {topic.replication}; "
            "move the replicas with Kafka's kafka-reassign-partitions"
        )
        changes.append(Change(Kind.IMPOSSIBLE, found.name, text))
    different = {name: value for name, value in topic.config.items() if found.config.get(name) != value}
    if different:
        text = ", ".join(
            f"{name}: {found.config.get(name, 'not set')} -> {value}" for name, value in different.items()
        )
        changes.append(Change(Kind.ALTER_CONFIG, found.name, text, config=different))
    return changes


def _partitions(topic: Topic, wanted: int, found: ActualTopic) -> Change:
    if wanted < found.partitions:
        text = f"it has {found.partitions} partitions and {wanted} are declared; Kafka removes none"
        return Change(Kind.IMPOSSIBLE, str(topic), text)
    text = f"{found.partitions} -> {wanted}; keys move to other partitions, so order across the change is not kept"
    return Change(Kind.ADD_PARTITIONS, str(topic), text, wanted)
