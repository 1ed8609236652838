"""Looks whether every topic that is needed exists, before anything starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from core_messaging.broker import Broker
from core_messaging.errors import TopicMissing
from core_messaging.options import Topic
from core_messaging.settings import Settings
from core_messaging.worker import Worker, config_of

logger = logging.getLogger("core_messaging.worker")


async def check_topics(
    workers: Sequence[type[Worker]],
    broker: Broker,
    settings: Settings,
    others: Sequence[Topic],
    *,
    create: bool,
) -> None:
    """Look for the topics of *workers* and *others*; *create* those that are missing, as they are declared.

    Without this check nothing would be consumed and nothing logged, or a dead letter could not be written. Raises
    TopicMissing, BrokerError.
    """
    if create:
        _explain_patterns(workers)
    named = [topic for worker in workers for topic in config_of(worker).topics]
    topics = broker.topics()
    missing = await topics.missing(tuple(dict.fromkeys([*named, *map(str, others)])))
    if not missing:
        return
    if not create:
        raise TopicMissing(missing, broker.address)
    declared = {str(topic): topic for worker in workers for topic in config_of(worker).declared_topics}
    declared |= {str(topic): topic for topic in others}
    missing = [declared.get(topic, topic) for topic in missing]
    await topics.create(missing, settings.kafka_topic_partitions, settings.kafka_topic_replication)
    logger.info("created topics %s", ", ".join(missing), extra={"action": "topics created"})


def _explain_patterns(workers: Sequence[type[Worker]]) -> None:
    """Say what is not created: a pattern has no names."""
    for config in map(config_of, workers):
        if config.input_pattern is not None:
            logger.info(
                "%s: it reads %s, and --create-topics creates none of them, because a pattern is no name. Create them yourself",
                config.name,
                config.inputs,
                extra={"action": "topics not created", "worker": config.name},
            )
