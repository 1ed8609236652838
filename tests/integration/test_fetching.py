"""What is asked of the broker while there is more than a worker can take."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest

from core_messaging.producer import get_producer
from tests.conftest import RunningBroker
from tests.integration.harness import run, running, settings_for, until
from tests.integration.test_messages import journal

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
