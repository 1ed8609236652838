"""Topics read from one end to the other: all records once, also around transactions, and partitions merged by time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from core_messaging.errors import TopicMissing
from core_messaging.kafka.topic_reader import reading_topics
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.letters import Letter
from core_messaging.rules.replay_plan import turn_of
from tests.integration.brokers import RunningBroker
from tests.integration.harness import publish, run, settings_for
from tests.integration.test_core_kafka_dlq import letter


async def values_of(address: str, topic: str) -> list[bytes | None]:
    async with reading_topics(settings_for(address)) as reader:
        spans = await reader.spans(topic)
        return [record.value async for records in reader.read(spans) for record in records]


def test_every_record_is_read_once_whatever_the_number_of_partitions(kafka_broker: RunningBroker) -> None:
    topic = kafka_broker.make_topic()
    wanted = [b"%d" % n for n in range(500)]
    run(publish(kafka_broker.address, topic, [(value, value) for value in wanted]))
    assert sorted(run(values_of(kafka_broker.address, topic)), key=lambda v: int(v or b"-1")) == wanted


def test_more_partitions_than_are_read_side_by_side(apache_broker: RunningBroker) -> None:
    topic = apache_broker.make_topic(20)
    wanted = {b"%d" % n for n in range(300)}
    run(publish(apache_broker.address, topic, [(value, value) for value in wanted]))
    assert set(run(values_of(apache_broker.address, topic))) == wanted


def test_transactions_that_were_aborted_or_are_open_hide_their_records_and_hold_nothing_up(
    apache_broker: RunningBroker,
) -> None:
    address, topic = apache_broker.address, apache_broker.make_topic(1)

    async def test() -> Sequence[bytes | None]:
        producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id=topic)
        await producer.start()
        for value in (b"stored", b"aborted", b"stored too", b"open"):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, value)
            if value == b"aborted":
                await producer.abort_transaction()
            elif value != b"open":
                await producer.commit_transaction()
        found = await values_of(address, topic)
        await producer.abort_transaction()
        await producer.stop()
        return [*found, *await values_of(address, topic)]

    assert run(test()) == [b"stored", b"stored too"] * 2


def test_a_key_whose_letters_are_in_two_partitions_is_read_in_the_order_of_its_failures(
    apache_broker: RunningBroker,
) -> None:
    # Partitions were added to the queue, so later letters of a key are elsewhere.
    address, topic = apache_broker.address, apache_broker.make_topic(1)
    keys = [b"k%d" % n for n in range(5)]

    async def test() -> list[Record]:
        await publish(address, topic, [letter("orders", n, key=keys[n % 5]) for n in range(20)])
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        await admin.create_partitions({topic: NewPartitions(4)})
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=address, metadata_max_age_ms=100) as producer:
            for n in range(20, 40):
                key, value, headers = letter("orders", n, key=keys[n % 5])
                await producer.send_and_wait(topic, value, key, partition=n % 5 % 4, headers=headers)
        async with reading_topics(settings_for(address)) as reader:
            spans = await reader.spans(topic)
            return [record async for record in reader.merged(spans, lambda r: turn_of(Letter(r)))]

    found = run(test())
    assert [Letter(record).text("original-offset") for record in found] == [str(n) for n in range(40)]
    assert {record.partition for record in found if record.key == b"k1"} == {0, 1}


def test_one_record_and_none(apache_broker: RunningBroker) -> None:
    address, topic = apache_broker.address, apache_broker.make_topic(1)

    async def test() -> list[bytes | None]:
        await publish(address, topic, [b"0", b"1", b"2"])
        async with reading_topics(settings_for(address)) as reader:
            with pytest.raises(TopicMissing):
                await reader.record(TopicPartition("no-such-topic", 0), 0)
            found = [await reader.record(TopicPartition(topic, 0), offset) for offset in (1, 3)]
            found.append(await reader.record(TopicPartition(topic, 7), 0))
        return [None if record is None else record.value for record in found]

    assert run(test()) == [b"1", None, None]
