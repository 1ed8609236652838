"""A broker that is there and says nothing keeps none of our tasks alive."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiokafka

from core_messaging.brokers.apache import ApacheCluster, ApacheOptions
from core_messaging.brokers.connecting import connect, stop
from tests.conftest import RunningBroker, require_apache
from tests.integration.commands import running_core
from tests.integration.harness import run, settings_for

QUICK = """
from core.messaging import Worker

class Quick(Worker):
    input_topic = "quick"

    async def process(self, message: dict) -> None: ...
"""


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


def test_a_worker_that_is_stopped_meanwhile_leaves_in_time_and_says_for_whom_it_did_not_wait(
    tmp_path: Path,
) -> None:
    # It said that a handler had not ended, and none was running.
    require_apache()
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/quick.py").write_text(QUICK)
    with ApacheCluster(ApacheOptions(folder=tmp_path / "kafka")) as cluster:
        (node,) = cluster.nodes
        env = {"KAFKA_BOOTSTRAP_SERVERS": cluster.address, "SHUTDOWN_TIMEOUT": "0.5"}
        with running_core("kafka", "worker", "Quick", "--create-topics", folder=tmp_path, env=env) as worker:
            worker.until_said("Quick has")
            node.pause()
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 1
        cluster.kill()
    assert "leaving without an answer of the broker" in worker.output
    assert "Traceback" not in worker.output
