"""Whoever looks for a topic does not make it."""

from __future__ import annotations

import uuid

import pytest

from core_messaging.errors import TopicMissing
from core_messaging.kafka.client import KafkaBroker
from core_messaging.kafka.client_lifecycle import admin_of
from core_messaging.kafka.group_offsets import reading
from core_messaging.kafka.topic_lookup import TopicLookup, look_up_topics
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.settings import Settings
from tests.integration.brokers import RunningBroker
from tests.integration.harness import run, settings_for


async def look(settings: Settings, *topics: str) -> TopicLookup:
    async with admin_of(settings) as admin:
        return await look_up_topics(admin, topics)


async def every_topic(settings: Settings) -> list[str]:
    async with admin_of(settings) as admin:
        return list(await admin.list_topics())


def test_a_topic_that_is_looked_for_is_not_made(kafka_broker: RunningBroker) -> None:
    # The embedded broker makes each topic that is named in the usual way, as many clusters do.
    settings, name = settings_for(kafka_broker.address), f"looked-for-{uuid.uuid4().hex[:8]}"
    existing = kafka_broker.make_topic()

    async def test() -> None:
        found = await look(settings, name, existing)
        assert (found.missing, found.partitions) == ([name], {existing: [0, 1, 2, 3]})
        await KafkaBroker(settings).topics().missing([name, existing])
        async with reading(settings) as kafka:
            with pytest.raises(TopicMissing, match=name):
                await kafka.partition_offsets("nobody", [name])
        assert name not in await every_topic(settings)

    run(test())


def test_asking_the_broker_in_memory_makes_no_topic() -> None:
    broker = MemoryBroker()

    async def test() -> None:
        assert await broker.topics().missing(["t"]) == []

    run(test())
    assert repr(broker) == "<MemoryBroker of 0 topics>"
