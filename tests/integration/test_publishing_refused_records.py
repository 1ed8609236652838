"""A record that Apache Kafka itself refuses, or does not answer for, harms nobody but itself."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from core_messaging.errors import DeadLetterRefused, PublishFailed, RecordRefused, Reject
from core_messaging.kafka.publisher import KafkaPublisher
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from core_messaging.producer import get_producer
from core_messaging.records import Outgoing, Receipt
from core_messaging.worker import Worker
from tests.integration.brokers import RunningBroker, require_apache
from tests.integration.harness import committed, publish, read, run, running, settings_for, until

SMALL = {"max.message.bytes": "10000"}


def test_one_record_too_large_spoils_neither_its_neighbours_nor_what_follows(
    apache_broker: RunningBroker,
) -> None:
    # They met in one batch, so all of them were called too large; and because the failed batch had used up sequence
    # numbers of the idempotent producer, whatever came later was refused too, for as long as the process lived.
    topic = apache_broker.make_topic(1, SMALL)

    async def test() -> tuple[list[Any], Receipt]:
        async with get_producer("kafka", settings=settings_for(apache_broker.address)) as producer:
            await producer.send(topic=topic, message="first")  # so that nobody waits for the topic
            sizes = [500] * 50 + [50_000] + [500] * 50
            sends = (producer.send(topic=topic, message="x" * size) for size in sizes)
            answers: list[Any] = await asyncio.gather(*sends, return_exceptions=True)
            return answers, await producer.send(topic=topic, message="later")

    answers, later = run(test())
    assert isinstance(answers.pop(50), RecordRefused)
    # In the order in which they were sent, although the batch fell apart on the way.
    assert [answer.offset for answer in answers] == list(range(1, 101))
    assert later.offset == 101


def test_a_record_without_a_key_fails_alone_where_the_topic_is_compacted(
    apache_broker: RunningBroker,
) -> None:
    topic = apache_broker.make_topic(1, {"cleanup.policy": "compact"})

    async def test() -> list[Any]:
        async with get_producer("kafka", settings=settings_for(apache_broker.address)) as producer:
            await producer.send(topic=topic, message="first", key="k")
            keys = [*(f"k{n}" for n in range(20)), None, *(f"k{n}" for n in range(20, 40))]
            sends = (producer.send(topic=topic, message="x", key=key) for key in keys)
            return list(await asyncio.gather(*sends, return_exceptions=True))

    answers = run(test())
    refused = answers.pop(20)
    assert isinstance(refused, RecordRefused)
    assert "takes no record without a key" in str(refused)
    assert [answer.offset for answer in answers] == list(range(1, 41))


def test_what_the_client_cannot_write_is_refused_and_does_no_harm(apache_broker: RunningBroker) -> None:
    # It was called worth another try, or came out as a TypeError that ended the worker.
    topic = apache_broker.make_topic(1)
    headers: Any = (("from a middleware", "text"),)
    unwritable = [Outgoing(topic, b"x", None, timestamp=2**70), Outgoing(topic, b"x", None, headers)]

    async def test() -> int:
        publisher = KafkaPublisher(settings_for(apache_broker.address))
        await publisher.start()
        for record in unwritable:
            with pytest.raises(RecordRefused):
                await (await publisher.publish(record))
        stored = await (await publisher.publish(Outgoing(topic, b"good", None)))
        await publisher.close()
        return stored.offset

    assert run(test()) == 0


def test_whoever_waits_for_a_topic_that_is_not_there_is_not_forgotten_with_the_client_that_is_replaced(
    apache_broker: RunningBroker,
) -> None:
    # The client was stopped under it, and what it waited for never came.
    topic = apache_broker.make_topic(1, SMALL)

    async def test() -> Receipt:
        settings = settings_for(apache_broker.address, kafka_request_timeout=3.0)
        async with get_producer("kafka", settings=settings) as producer:
            await producer.send(topic=topic, message="first")
            waiting = asyncio.create_task(producer.send(topic=f"{topic}-missing", message="x"))
            with pytest.raises(RecordRefused):
                await producer.send(topic=topic, message="x" * 50_000)
            later = await producer.send(topic=topic, message="later")
            with pytest.raises(PublishFailed):
                await waiting
            return later

    assert run(test()).offset == 1


def test_a_result_too_large_is_given_up_alone(apache_broker: RunningBroker) -> None:
    source, results, dlq = (apache_broker.make_topic(1, configs) for configs in (None, SMALL, None))

    class Inflating(Worker):
        input_topic = source
        output_topic = results
        dlq_topic = dlq
        concurrency = 8

        async def process(self, message: dict[str, Any]) -> str:
            return "x" * int(message["size"])

    sizes = [400] * 30 + [50_000] + [400] * 30
    records = [(b"key-%d" % number, b'{"size": %d}' % size) for number, size in enumerate(sizes)]

    async def test() -> tuple[list[Any], list[Any]]:
        await publish(apache_broker.address, source, records)
        async with running(apache_broker.address, Inflating):
            return await read(apache_broker.address, results, 60), await read(apache_broker.address, dlq, 1)

    stored, (dead,) = run(test())
    assert {len(record.value) for record in stored} == {400}
    assert dead.key == b"key-30"
    assert b"make it smaller" in dead.facts["core-error-message"]


def test_a_result_without_a_key_is_given_up_where_its_topic_is_compacted(
    apache_broker: RunningBroker,
) -> None:
    # The client does not know that answer of the broker's; the result was published again and again, for ever.
    source, dlq = apache_broker.make_topic(1), apache_broker.make_topic(1)
    results = apache_broker.make_topic(1, {"cleanup.policy": "compact"})

    class Passing(Worker):
        input_topic = source
        output_topic = results
        dlq_topic = dlq

        async def process(self, message: int) -> int:
            return message

    keys = [b"a", None, b"b", None, b"c"]
    records = [(key, b"%d" % number) for number, key in enumerate(keys)]

    async def test() -> tuple[list[Any], list[Any]]:
        await publish(apache_broker.address, source, records)
        async with running(apache_broker.address, Passing):
            return await read(apache_broker.address, results, 3), await read(apache_broker.address, dlq, 2)

    stored, dead = run(test())
    assert [record.value for record in stored] == [b"0", b"2", b"4"]
    assert [record.value for record in dead] == [b"1", b"3"]
    assert b"takes no record without a key" in dead[0].facts["core-error-message"]


def test_a_dead_letter_that_is_refused_is_said_and_never_passed_over(
    apache_broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    source, dlq = apache_broker.make_topic(1), apache_broker.make_topic(1, {"cleanup.policy": "compact"})
    handled = []

    class Failing(Worker):
        input_topic = source
        group_id = source
        dlq_topic = dlq

        async def process(self, message: int) -> None:
            handled.append(message)
            if message == 1:
                raise Reject("no such customer")

    async def test() -> dict[int, tuple[int, str]]:
        await publish(apache_broker.address, source, [(b"a", b"0"), (None, b"1"), (b"b", b"2")])
        async with running(apache_broker.address, Failing):
            await until(lambda: "takes no record without a key" in caplog.text and handled == [0, 1, 2])
        return await committed(apache_broker.address, source)

    assert run(test())[0][0] == 1
    assert "nothing is lost" in caplog.text


def _failing(topic: str, queue: str, **options: Any) -> type[Worker]:
    async def process(self: Worker, message: bytes) -> None:
        raise Reject(secrets.token_urlsafe(2000))

    facts = {"input_topic": topic, "group_id": topic, "dlq_topic": queue, "process": process}
    return type("Failing", (Worker,), facts | options)


@pytest.mark.parametrize(
    ("value", "compression", "settings"),
    [
        pytest.param(os.urandom(1_048_300), None, {}, id="as large as a topic takes"),
        pytest.param(b"x" * 3_000_000, "gzip", {}, id="published compressed"),
        pytest.param(
            os.urandom(5_000), None, {"kafka_max_request_size": 1_000}, id="larger than ours may be"
        ),
    ],
)
def test_what_the_input_topic_took_is_dead_lettered_however_large(
    apache_broker: RunningBroker, value: bytes, compression: str | None, settings: dict[str, Any]
) -> None:
    # The headers made it too large, or the producer's own limit was for it too: its key waited for ever.
    source, queue = apache_broker.make_topic(1), apache_broker.make_topic(1)

    async def test() -> tuple[list[Any], dict[int, tuple[int, str]]]:
        address = apache_broker.address
        await publish(address, source, [(b"k", value), (b"k", b"next")], compression_type=compression)
        async with running(address, _failing(source, queue), **settings):
            letters = await read(address, queue, 2)
        return letters, await committed(address, source)

    letters, commits = run(test())
    assert [letter.value for letter in letters] == [value, b"next"]
    assert commits[0][0] == 2


def test_a_letter_too_large_with_our_headers_is_stored_without_them_and_that_is_said(
    apache_broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    source, queue = apache_broker.make_topic(1), apache_broker.make_topic(1, SMALL)
    values = [os.urandom(9_000), os.urandom(9_800)]

    async def test() -> list[Any]:
        await publish(
            apache_broker.address, source, [(b"k%d" % n, v, [("a", b"1")]) for n, v in enumerate(values)]
        )
        async with running(apache_broker.address, _failing(source, queue)):
            return await read(apache_broker.address, queue, 2)

    letters = sorted(run(test()), key=lambda letter: len(letter.value))
    assert [letter.value for letter in letters] == values
    assert "core-error-message" not in letters[0].facts
    assert letters[0].facts["core-original-offset"] == b"0"
    assert letters[1].headers == (("a", b"1"),)
    assert "was too large" in caplog.text


def test_a_letter_that_is_too_large_by_itself_goes_when_its_topic_is_mended(
    apache_broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    source, queue = apache_broker.make_topic(1), apache_broker.make_topic(1, SMALL)
    large = os.urandom(50_000)

    async def test() -> list[Any]:
        await publish(apache_broker.address, source, [(b"k", large), (b"other", b"small")])
        async with running(apache_broker.address, _failing(source, queue)):
            first = await read(apache_broker.address, queue, 1)
            await until(lambda: "without a restart" in caplog.text)
            await _configure(apache_broker.address, queue, {"max.message.bytes": "100000"})
            return first + (await read(apache_broker.address, queue, 2))[1:]

    small, mended = run(test())
    assert (small.value, mended.value) == (b"small", large)
    assert mended.facts["core-original-offset"] == b"0"
    assert f"raise max.message.bytes of {queue}" in caplog.text


def test_a_worker_that_would_rather_stop_stops_where_its_queue_refuses_a_letter(
    apache_broker: RunningBroker,
) -> None:
    source, queue = apache_broker.make_topic(1), apache_broker.make_topic(1, SMALL)

    async def test() -> dict[int, tuple[int, str]]:
        await publish(apache_broker.address, source, [(b"k", os.urandom(50_000))])
        with pytest.raises(DeadLetterRefused, match="raise max"):
            async with running(
                apache_broker.address, _failing(source, queue, on_exhausted="stop")
            ) as working:
                await working
        return await committed(apache_broker.address, source)

    assert run(test())[0][0] == 0


async def _configure(address: str, topic: str, configs: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
    finally:
        await admin.close()


def test_a_broker_silent_for_longer_than_a_request_may_take_gets_each_record_once(tmp_path: Path) -> None:
    # The client sends the batch again and again with the same sequence numbers, so the broker knows it.
    require_apache()
    with ApacheCluster(ApacheOptions(folder=tmp_path)) as cluster:
        broker, (node,) = RunningBroker(cluster.address, "apache"), cluster.nodes
        topic = broker.make_topic(1)

        async def test() -> list[Any]:
            settings = settings_for(broker.address, kafka_request_timeout=1.0)
            async with get_producer("kafka", settings=settings) as producer:
                await producer.send(topic=topic, message="before")
                node.pause()
                meanwhile = [
                    asyncio.create_task(producer.send(topic=topic, message=f"m{n}")) for n in range(20)
                ]
                await asyncio.sleep(3)  # the outage itself: three requests without an answer
                assert not any(task.done() for task in meanwhile)
                node.resume()
                await asyncio.gather(*meanwhile)
                await producer.send(topic=topic, message="after")
            return await read(broker.address, topic, 22)

        stored = run(test())
        cluster.kill()
    assert [s.value for s in stored] == [b"before", *(b"m%d" % n for n in range(20)), b"after"]
