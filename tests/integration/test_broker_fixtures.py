"""The fixtures everybody's tests stand on."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.integration.brokers import MakeTopic, RunningBroker


def test_a_message_goes_through_both_engines(kafka_address: str, make_topic: MakeTopic) -> None:
    assert asyncio.run(_through(kafka_address, make_topic())) == b"hello"


async def _through(address: str, topic: str) -> bytes | None:
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"hello", key=b"k")
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        group_id=topic,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
        await consumer.commit()
    value: bytes | None = record.value
    return value


def test_two_topics_of_one_test_are_two_topics(make_topic: MakeTopic) -> None:
    assert make_topic() != make_topic()


def test_a_topic_has_the_partitions_it_was_made_with(apache_broker: RunningBroker) -> None:
    async def partitions(topic: str) -> set[int]:
        async with AIOKafkaProducer(bootstrap_servers=apache_broker.address) as producer:
            found: set[int] = await producer.partitions_for(topic)
            return found

    assert asyncio.run(partitions(apache_broker.make_topic(partitions=2))) == {0, 1}


def test_a_topic_can_be_made_while_a_loop_runs(embedded_broker: RunningBroker) -> None:
    async def inside() -> str:
        return embedded_broker.make_topic()

    assert asyncio.run(inside())
