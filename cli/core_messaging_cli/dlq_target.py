"""Finds the dead-letter queue that a word of the command line means: a worker's queue, or a topic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core_messaging.config import WorkerConfig
from core_messaging.definition.names import is_topic
from core_messaging.discovery.catalog import Catalog, discover
from core_messaging.errors import NoQueue, SeveralQueues, TopicMissing, UnknownQueue, UnknownWorker
from core_messaging.operations.dead_letters import Queue
from core_messaging.settings import Settings
from core_messaging.worker import config_of
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.selection import worker_named


@dataclass(frozen=True, slots=True)
class Target:
    """``queues``: one, unless a worker has a queue for each kind of error.

    ``following``: groups of this project that send later messages of a key after its dead letter. ``no_worker``: why no worker
    is meant, so that it has to be a topic.
    """

    queues: tuple[Queue, ...]
    following: frozenset[str]
    no_worker: UnknownWorker | None = None

    @property
    def queue(self) -> Queue:
        """The only queue. Raises SeveralQueues."""
        if len(self.queues) > 1:
            raise SeveralQueues(self.queues[0].worker or "", [queue.topic for queue in self.queues])
        return self.queues[0]

    @contextmanager
    def missing_told(self, servers: str) -> Iterator[None]:
        """Raise an error for a word that is neither a worker nor a topic."""
        try:
            yield
        except TopicMissing as error:
            if self.no_worker is None or self.queue.topic not in error.topics:
                raise
            raise UnknownQueue(self.queue.topic, servers, self.no_worker) from error


def settings_for_dead_letters() -> Settings:
    """Read the settings of the project. Raises ConfigurationError if they do not lead to Kafka."""
    return kafka_settings("core kafka dlq", "looking at dead letters")


def target_of(name: str) -> Target:
    """Find the queue that *name* means. Raises DiscoveryError."""
    catalog = discover()
    try:
        config = worker_named(catalog, name)
    except UnknownWorker as error:
        if not is_topic(name):
            raise
        following = [config for config in _configs(catalog) if config.dlq_topic == name]
        return Target((Queue(name),), _followers(following), error)
    return Target(_queues_of(config), _followers([config]))


def every_queue() -> list[Queue]:
    """List the queues of all workers, each once."""
    topics = dict.fromkeys(topic for config in _configs(discover()) for topic in config.dlq_topics)
    return [Queue(topic) for topic in topics]


def _configs(catalog: Catalog) -> list[WorkerConfig]:
    return [config_of(worker) for worker in catalog.healthy()]


def _queues_of(config: WorkerConfig) -> tuple[Queue, ...]:
    if not config.dlq_topics:
        raise NoQueue(config.name)
    return tuple(Queue(topic, config.name, config.group_id) for topic in config.dlq_topics)


def _followers(configs: list[WorkerConfig]) -> frozenset[str]:
    return frozenset(config.group_id for config in configs if config.on_dead_letter == "follow")
