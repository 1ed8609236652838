"""Topics are looked for before a worker starts, and made as they are declared."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core_messaging import Topic, Worker
from core_messaging.broker import Subscription
from core_messaging.errors import TopicMissing
from core_messaging.memory_broker import MemoryBroker
from core_messaging.records import Committed, TopicPartition
from core_messaging.runtime.fleet_member import control_topics
from core_messaging.runtime.topic_check import check_topics
from core_messaging.settings import Settings


class Ship(Worker):
    input_topic = Topic("orders", partitions=7)
    dlq_topic = "orders-dlq"

    async def process(self, message: dict[str, Any]) -> None: ...


CONTROL = control_topics(Settings(kafka_control_topic="control"))


async def partitions(broker: MemoryBroker, topic: str) -> int:
    """How many partitions a member of a new group gets."""
    assigned: dict[TopicPartition, Committed | None] = {}

    async def gone(_sources: frozenset[TopicPartition]) -> None: ...

    consumer = broker.consumer(Subscription(f"of-{topic}", (topic,)))
    await consumer.start(assigned.update, gone, gone)
    await consumer.fetch(1, 0.1)
    await consumer.close()
    return len(assigned)


def check(broker: MemoryBroker, *, create: bool) -> None:
    asyncio.run(check_topics([Ship], broker, Settings(kafka_topic_partitions=2), CONTROL, create=create))


def test_all_that_is_missing_is_named_and_nothing_is_made() -> None:
    broker = MemoryBroker(auto_create_partitions=None)
    with pytest.raises(TopicMissing) as caught:
        check(broker, create=False)
    assert caught.value.topics == ("orders", "orders-dlq", "control", "control-state")
    with pytest.raises(TopicMissing):
        check(broker, create=False)


def test_topics_are_made_as_they_are_declared_and_the_rest_by_the_settings() -> None:
    broker = MemoryBroker(auto_create_partitions=None)
    check(broker, create=True)
    check(broker, create=False)
    found = {name: asyncio.run(partitions(broker, name)) for name in ("orders", "orders-dlq", "control")}
    assert found == {"orders": 7, "orders-dlq": 2, "control": 1}


def test_without_a_control_topic_there_is_nothing_to_look_for() -> None:
    assert control_topics(Settings()) == []
    assert [topic.config["cleanup.policy"] for topic in CONTROL] == ["compact", "compact,delete"]
