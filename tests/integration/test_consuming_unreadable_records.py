"""Bytes that the client cannot parse stop their own partition, and what is compressed can be parsed."""

from __future__ import annotations

import logging
import struct
from typing import Any

import aiokafka.codec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from core_messaging.errors import ConfigurationError
from core_messaging.kafka import consumer
from core_messaging.kafka.group_offsets import reading
from core_messaging.producer import get_producer
from core_messaging.records import TopicPartition
from tests.integration.brokers import RunningBroker
from tests.integration.harness import committed, run, running, settings_for, until, until_committed
from tests.integration.journal import journal


async def _send(address: str, topic: str, partition: int, numbers: range) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for number in numbers:
            await producer.send_and_wait(topic, b"%d" % number, b"k%d" % number, partition)


async def send_unreadable(address: str, topic: str, partition: int) -> None:
    """A record whose header has a name that is not UTF-8. The client cannot write one, so its bytes are changed."""
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        batch = producer.create_batch()
        batch.append(key=b"k", value=b"bad", timestamp=None, headers=[("NAME", b"v")])
        stored = bytearray(batch._build()).replace(b"NAME", b"\xff\xfe\xfd\xfc")
        stored[17:21] = struct.pack(">I", calc_crc32c(bytes(stored[21:])))
        batch._buffer = bytes(stored)
        await (await producer.send_batch(batch, topic, partition=partition))


def test_a_record_the_client_cannot_parse_stops_its_partition_only(
    apache_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # It stopped the whole worker: it left the group and joined it again, once a second and for ever.
    address, topic = apache_broker.address, apache_broker.make_topic(3)
    monkeypatch.setattr(consumer, "_PARSE_RETRY", 0.3)
    caplog.set_level(logging.INFO, "core_messaging")

    async def process(self: Any, message: int) -> None:
        self.seen.append(message)

    made = journal(input_topic=topic, process=process, concurrency=8)

    def told(what: str) -> int:
        return sum(what in record.getMessage() for record in caplog.records)

    async def test() -> dict[int, tuple[int, str]]:
        for partition in (0, 1, 2):  # one request brings all three, the bad one at its place
            await _send(address, topic, partition, range(100 * partition, 100 * partition + 30))
        await send_unreadable(address, topic, 1)
        await _send(address, topic, 1, range(900, 903))
        async with running(address, made) as task:
            await until(lambda: told(f"{topic}[1] stands still at offset 30") >= 3, task)
            await _send(address, topic, 0, range(30, 60))
            await until(lambda: len(made.seen) >= 120, task)
            await until_committed(address, topic, 120)
        async with reading(settings_for(address)) as offsets:
            await offsets.partition_offsets(topic, [topic])
            assert await offsets.record(TopicPartition(topic, 1), 30) is None
        return await committed(address, topic)

    commits = run(test())
    assert sorted(made.seen) == [*range(60), *range(100, 130), *range(200, 230)]
    assert {partition: offset for partition, (offset, _) in commits.items()} == {0: 60, 1: 30, 2: 30}
    assert told(" has ") == 1  # one assignment: it stayed in its group


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_what_is_compressed_is_processed(apache_broker: RunningBroker, compression: str) -> None:
    # Their codecs were in no requirement of ours.
    address, topic, output = apache_broker.address, apache_broker.make_topic(1), apache_broker.make_topic(1)

    async def process(self: Any, message: int) -> int:
        self.seen.append(message)
        return message

    made = journal(input_topic=topic, output_topic=output, process=process)

    async def test() -> None:
        settings = settings_for(address, kafka_compression=compression)
        async with get_producer("kafka", settings=settings) as producer:
            await producer.send_many(topic=topic, messages=range(100))
        async with running(address, made, kafka_compression=compression):
            await until_committed(address, topic, 100)

    run(test())
    assert sorted(made.seen) == list(range(100))


def test_a_codec_that_is_missing_is_named_with_its_package(
    apache_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address, topic = apache_broker.address, apache_broker.make_topic(1)
    made = journal(input_topic=topic, process=lambda self, message: self.seen.append(message))

    async def test() -> None:
        async with get_producer(
            "kafka", settings=settings_for(address, kafka_compression="zstd")
        ) as producer:
            await producer.send_many(topic=topic, messages=["x" * 100] * 100)
        monkeypatch.setattr(aiokafka.codec, "cramjam", None)
        async with get_producer(
            "kafka", settings=settings_for(address, kafka_compression="zstd")
        ) as producer:
            with pytest.raises(ConfigurationError, match="library for zstd not found"):
                await producer.send(topic=topic, message="x")
        async with running(address, made) as task:
            await until(lambda: "pip install cramjam" in caplog.text, task)

    run(test())
    assert made.seen == []
