"""The ends of transactions take offsets and are no messages: a group that has read all has no lag."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from core_messaging.worker import Worker
from tests.integration.brokers import RunningBroker
from tests.integration.harness import PATIENCE, committed, publish, run, running, until


def worker_that_sees(topic: str, seen: list[int]) -> type[Worker]:
    async def process(self: Worker, message: int) -> None:
        seen.append(message)

    return type("Sees", (Worker,), {"input_topic": topic, "group_id": topic, "process": process})


def test_the_commit_reaches_the_end_of_a_topic_that_ends_with_a_transaction(
    apache_broker: RunningBroker,
) -> None:
    # Every tool of Kafka's showed a lag of 1, for ever.
    address, topic, seen = apache_broker.address, apache_broker.make_topic(1), list[int]()

    async def test() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id=topic)
        await producer.start()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"1")
        await producer.stop()
        async with running(address, worker_that_sees(topic, seen)):
            async with asyncio.timeout(PATIENCE):
                while (await committed(address, topic)).get(0, (0, ""))[0] < 2:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.1)

    run(test())
    assert seen == [1]


def test_partitions_that_are_added_are_seen_within_the_age_of_the_metadata(
    apache_broker: RunningBroker,
) -> None:
    # It took the client's five minutes.
    address, topic, seen = apache_broker.address, apache_broker.make_topic(1), list[int]()

    async def test() -> None:
        options: dict[str, Any] = {"kafka_metadata_max_age": 1.0, "kafka_auto_offset_reset": "latest"}
        async with running(address, worker_that_sees(topic, seen), **options) as task:
            async with asyncio.timeout(PATIENCE):
                while not await committed(address, topic):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.1)
            admin = AIOKafkaAdminClient(bootstrap_servers=address)
            await admin.start()
            await admin.create_partitions({topic: NewPartitions(8)})
            await admin.close()
            sent = 0
            while not seen:  # some of the keys go to new partitions
                await publish(address, topic, [(b"%d" % n, b"%d" % n) for n in range(sent, sent + 20)])
                sent += 20
            await until(lambda: len(seen) == sent, task)

    run(test())
