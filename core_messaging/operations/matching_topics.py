"""Finds the topics that workers read by a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core_messaging.config import WorkerConfig
from core_messaging.kafka.topic_admin import topic_admin
from core_messaging.rules.fleet_state import control_topic_names
from core_messaging.settings import Settings


async def with_matching_topics(settings: Settings, workers: Sequence[WorkerConfig]) -> list[WorkerConfig]:
    """Return *workers*; those that read topics by a pattern have the topics that match now as their ``input_topics``.

    The cluster is asked only where there is such a worker. Raises BrokerUnreachable, BrokerRefused, BrokerError.
    """
    if not any(worker.input_pattern for worker in workers):
        return list(workers)
    async with topic_admin(settings) as admin:
        topics = await admin.names()
    others = control_topic_names(settings.kafka_control_topic)
    return [_matched(worker, topics, others) for worker in workers]


def pattern_in_words(worker: WorkerConfig) -> str | None:
    """Say what the pattern of *worker*, which ``with_matching_topics`` returned, matches. None: its topics have names."""
    if worker.input_pattern is None:
        return None
    return f"{worker.name}: {worker.inputs}: {', '.join(worker.input_topics) or 'there is none'}"


def _matched(worker: WorkerConfig, topics: Sequence[str], others: Sequence[str]) -> WorkerConfig:
    pattern = worker.topic_pattern(others)
    return worker if pattern is None else replace(worker, input_topics=pattern.found_in(topics))
