"""What is asked of the broker while there is more than a worker can take."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest

from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.producer import get_producer
from core_messaging.rules import condition
from core_messaging.settings import Settings
from core_messaging.snapshot import Condition
from tests.integration.brokers import RunningBroker
from tests.integration.harness import run, running, settings_for, until
from tests.integration.journal import journal
from tests.unit.engine.probed_worker import Looks

COUNT = 10_000


class Requests:
    """The requests for records of one topic: how long the broker may hold them, and of which partitions."""

    def __init__(self, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = list[tuple[int, set[int]]]()
        send = AIOKafkaClient.send

        async def noted(client: Any, node: Any, request: Any, **options: Any) -> Any:
            if isinstance(request, FetchRequest):
                partitions = {part for name, parts in request.topics if name == topic for part, *_ in parts}
                self.made.append((request._max_wait_ms, partitions))
            return await send(client, node, request, **options)

        monkeypatch.setattr(AIOKafkaClient, "send", noted)


def test_a_busy_partition_does_not_wait_for_those_that_are_empty(
    apache_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With one of four partitions busy a worker had a third of its throughput: for half a second at a time the client
    # waited for the other three.
    topic = apache_broker.make_topic(4)
    requests = Requests(topic, monkeypatch)

    async def process(self: Any, message: dict[str, Any]) -> None:
        await asyncio.sleep(0.01)
        self.seen.append(message["n"])

    made = journal(input_topic=topic, process=process, concurrency=100, ordering="none")

    async def test() -> int:
        async with get_producer("kafka", settings=settings_for(apache_broker.address)) as producer:
            bodies = (json.dumps({"n": n, "fill": "x" * 160}) for n in range(COUNT))
            receipts = await producer.send_many(topic=topic, messages=bodies, key=lambda _: "one")
        async with running(apache_broker.address, made) as task:
            await until(lambda: len(made.seen) == COUNT, task)
            busy = [
                patience for patience, partitions in requests.made if receipts[0].partition not in partitions
            ]
            assert set(busy) == {20}
            await until(lambda: requests.made[-1] == (500, {0, 1, 2, 3}), task)
        return len(busy)

    assert run(test()) >= 5
    assert sorted(made.seen) == list(range(COUNT))


async def transact(address: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id=topic)
    async with producer, producer.transaction():
        await producer.send_and_wait(topic, b'{"id": 1}')


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_what_is_no_record_for_the_worker_is_not_waited_for(
    apache_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, reset: str
) -> None:
    # The end of a transaction, or all that is older than "latest": after a minute the worker was called stuck, and
    # whoever asks /livez restarted it, for ever.
    monkeypatch.setattr(condition, "FETCH_LIMIT", 0.0)
    topic, looks = apache_broker.make_topic(1), Looks()

    async def process(self: Any, message: dict[str, Any]) -> None:
        self.seen.append(message["id"])

    made = journal(input_topic=topic, process=process)

    async def test() -> None:
        await transact(apache_broker.address, topic)
        plugins = Plugins([PluginReport("looks", "test", hooks=("metrics",), plugin=looks)], Settings())
        others = {"metrics_interval": 0.1, "kafka_auto_offset_reset": reset}
        async with running(apache_broker.address, made, plugins=plugins, **others) as task:
            await until(lambda: looks.seen, task)
            await until(lambda: {part.end for part in looks.seen[-1].partitions.values()} == {2}, task)
            await until(lambda: len(made.seen) == (reset == "earliest"), task)
            known = len(looks.seen)
            await until(lambda: len(looks.seen) > known + 8, task)
        told = {(worker.condition, worker.lag) for worker in looks.seen[known + 5 : known + 8]}
        assert told == {(Condition.RUNNING, 0)}

    run(test())


@pytest.mark.parametrize("options", [{}, {"batch_size": 10, "batch_timeout": 0.1}])
def test_a_quiet_topic_is_fetched_beside_the_backlog_of_another(
    apache_broker: RunningBroker, options: dict[str, Any]
) -> None:
    # The client empties its buffer of one partition, thousands of records, before it looks at the next.
    busy, quiet = apache_broker.make_topic(4), apache_broker.make_topic(1)

    async def process(self: Any, message: dict[str, Any]) -> None:
        self.seen.append(message["topic"])
        await asyncio.sleep(0.02 * options.get("batch_size", 1))  # those of a batch run side by side

    both = journal(input_topic=[busy, quiet], group_id=busy, process=process, **options)

    async def test() -> None:
        async with get_producer("kafka", settings=settings_for(apache_broker.address)) as producer:
            bodies = (json.dumps({"topic": "busy", "fill": "x" * 160}) for _ in range(2 * COUNT))
            await producer.send_many(topic=busy, messages=bodies)
            async with running(apache_broker.address, both) as task:
                await until(lambda: len(both.seen) > 20, task)
                await producer.send(topic=quiet, message={"topic": "quiet"})
                await until(lambda: "quiet" in both.seen, task)
        # A second or so of work; all of the backlog is minutes of it.
        assert len(both.seen) < 1_000

    run(test())
