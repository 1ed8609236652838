"""A broker that is there and says nothing keeps none of our tasks alive."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from core_messaging import get_blocking_producer
from core_messaging.errors import ManyNotSent
from core_messaging.kafka.client_lifecycle import connect, stop
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from tests.integration.brokers import RunningBroker, require_apache
from tests.integration.commands import running_core
from tests.integration.harness import PATIENCE, publish, run, settings_for
from tests.integration.test_publishing_messages import connected

WORKER = """
import asyncio
from core.messaging import Worker

class Sleeper(Worker):
    input_topic = "{topic}"
    group_id = "{topic}"

    async def process(self, message: float) -> None:
        print("asleep", flush=True)
        await asyncio.sleep(message)
"""


@pytest.fixture(scope="module")
def silent_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheCluster]:
    """Of this module alone: it is paused."""
    require_apache()
    with ApacheCluster(ApacheOptions(folder=tmp_path_factory.mktemp("silent"))) as cluster:
        yield cluster
        cluster.kill()


async def stored(producer: AIOKafkaProducer, topic: str) -> None:
    """Send a first record, however often it takes: the first one of a new broker may last longer than a request may."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(KafkaError):
                await producer.send_and_wait(topic, b"before")
                return


@pytest.mark.parametrize("silent_for", [0.0, 2.5])
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_clients_that_are_stopped_meanwhile_leave_nothing_behind(
    silent_cluster: ApacheCluster, loop_factory: Any, silent_for: float, caplog: pytest.LogCaptureFixture
) -> None:
    # The producer waited for its records and the consumer for the answer to its leaving, or for a coordinator; cancelled
    # there, they closed neither their connections nor their other tasks: the producer went on sending, and the
    # heartbeat complained ten times a second.
    broker, (node,) = RunningBroker(silent_cluster.address, "apache"), silent_cluster.nodes
    topic = broker.make_topic(1)
    at: dict[str, Any] = {"bootstrap_servers": broker.address, "request_timeout_ms": 1000}
    group: dict[str, Any] = {"group_id": topic, "enable_auto_commit": False, "heartbeat_interval_ms": 300}

    async def test() -> set[str]:
        settings = settings_for(broker.address)
        producer = await connect(settings, lambda: AIOKafkaProducer(enable_idempotence=True, **at))
        consumer = await connect(settings, lambda: AIOKafkaConsumer(topic, **group, **at))
        await stored(producer, topic)
        node.pause()
        batch = producer.create_batch()
        batch.append(key=None, value=b"meanwhile", timestamp=None)
        (await producer.send_batch(batch, topic, partition=0)).cancel()  # as an outbox does that is given up
        await asyncio.sleep(silent_for)  # the outage itself: 2.5 s are two requests without an answer
        await stop(producer, 0.5)
        await stop(consumer, 0.5)
        left = {repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}}
        node.resume()
        return left

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(test()) == set()
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_who_sends_many_from_a_thread_is_not_left_waiting(silent_cluster: ApacheCluster) -> None:
    broker, (node,) = RunningBroker(silent_cluster.address, "apache"), silent_cluster.nodes
    topic = broker.make_topic(1)
    settings = settings_for(broker.address, kafka_start_timeout=0.5, kafka_request_timeout=1.0)
    with get_blocking_producer("kafka", settings=settings) as producer:
        connected(producer, topic)
        node.pause()
        try:
            with pytest.raises(
                ManyNotSent, match=r"3 messages were tried, 0 stored and 3 not; .* no answer within 1\.5 s"
            ):
                producer.send_many(topic=topic, messages=["a", "b", "c"])
        finally:
            node.resume()


@pytest.mark.parametrize("running", [False, True])
def test_a_worker_that_is_stopped_meanwhile_leaves_in_time_and_says_for_whom_it_did_not_wait(
    silent_cluster: ApacheCluster, tmp_path: Path, running: bool
) -> None:
    # It said that a handler had not ended, where none was running, and where one had ended as soon as it was cancelled.
    broker, (node,) = RunningBroker(silent_cluster.address, "apache"), silent_cluster.nodes
    topic = broker.make_topic(1)
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/sleeper.py").write_text(WORKER.format(topic=topic))
    if running:
        run(publish(broker.address, topic, [b"60"]))
    env = {"KAFKA_BOOTSTRAP_SERVERS": silent_cluster.address, "SHUTDOWN_TIMEOUT": "0.5"}
    with running_core("kafka", "worker", "Sleeper", folder=tmp_path, env=env) as worker:
        worker.until_said("asleep" if running else "Sleeper has")
        node.pause()
        worker.signal(signal.SIGTERM)
        code = worker.wait()
        node.resume()
    assert code == 1
    assert (
        "stopping took longer than 3.5 s (Sleeper in its last commit and leaving the group)" in worker.output
    )
    assert "Traceback" not in worker.output
