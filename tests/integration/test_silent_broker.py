"""A broker that is there and says nothing keeps none of our tasks alive."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiokafka

from core_messaging.brokers.apache import ApacheCluster, ApacheOptions
from core_messaging.brokers.connecting import connect, stop
from tests.conftest import RunningBroker, require_apache
from tests.integration.harness import run, settings_for


def test_clients_that_are_stopped_meanwhile_leave_nothing_behind(tmp_path: Path) -> None:
    # The producer waited for its records and the consumer for the answer to its leaving; cancelled there, they closed
    # neither their connections nor their other tasks, and the producer went on sending.
    require_apache()
    with ApacheCluster(ApacheOptions(folder=tmp_path)) as cluster:
        broker, (node,) = RunningBroker(cluster.address, "apache"), cluster.nodes
        topic = broker.make_topic(1)

        async def test() -> set[str]:
            settings = settings_for(broker.address)
            at: dict[str, Any] = {"bootstrap_servers": broker.address}
            producer = await connect(
                settings, lambda: aiokafka.AIOKafkaProducer(enable_idempotence=True, **at)
            )
            consumer = await connect(
                settings,
                lambda: aiokafka.AIOKafkaConsumer(topic, group_id="g", enable_auto_commit=False, **at),
            )
            await producer.send_and_wait(topic, b"before")
            node.pause()
            batch = producer.create_batch()
            batch.append(key=None, value=b"meanwhile", timestamp=None)
            (
                await producer.send_batch(batch, topic, partition=0)
            ).cancel()  # as an outbox does that is given up
            await stop(producer, 0.5)
            await stop(consumer, 0.5)
            return {repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}}

        left = run(test())
        cluster.kill()
    assert left == set()
