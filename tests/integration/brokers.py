"""Brokers for tests: what a test asks for by the fixtures of ``conftest.py``, and where Apache Kafka comes from.

Apache Kafka is the one at KAFKA_BOOTSTRAP_SERVERS, else one of our own (Java and Maven). Where it cannot be had
its tests are skipped; with CI=true and Java on the machine that is a failure.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from core_messaging.errors import DownloadFailed
from core_messaging.local_broker import artifacts
from core_messaging.local_broker.embedded import PARTITIONS

Result = TypeVar("Result")
Engine = Literal["embedded", "apache"]

_CREATED_WITHIN = 15.0


class MakeTopic(Protocol):
    """Makes a topic with a name of its own and returns the name."""

    def __call__(self, partitions: int = 4) -> str: ...


@dataclass(frozen=True)
class RunningBroker:
    """A broker that is there for the whole session; tests keep out of each other's way by topic and group."""

    address: str
    engine: Engine

    def make_topic(
        self, partitions: int = 4, configs: Mapping[str, str] | None = None, name: str | None = None
    ) -> str:
        """A new topic with *partitions* partitions; the embedded engine has 4 and no other number, and no
        *configs* (of the topic, as Kafka names them)."""
        if self.engine == "embedded" and partitions != PARTITIONS:
            pytest.skip(f"the embedded broker has topics of {PARTITIONS} partitions only")
        topic = name or f"test-{uuid.uuid4().hex[:12]}"
        _in_a_loop_of_its_own(lambda: _create(self, topic, partitions, configs))
        return topic


def _in_a_loop_of_its_own(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run it to the end, also where the caller is inside a running loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


async def _create(
    broker: RunningBroker, topic: str, partitions: int, configs: Mapping[str, str] | None
) -> None:
    if broker.engine == "apache":
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        finally:
            await admin.close()
    await asyncio.wait_for(_until_it_has(broker.address, topic, partitions), _CREATED_WITHIN)


async def _until_it_has(address: str, topic: str, partitions: int) -> None:
    """A created topic reaches the brokers' metadata a moment later (and the embedded broker makes it only now)."""
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        while len(await producer.partitions_for(topic)) < partitions:
            await producer.client.force_metadata_update()
    finally:
        await producer.stop()


def require_apache() -> None:
    """Go on where our own Apache Kafka can be started; else skip, or fail where it would go unnoticed."""
    missing = artifacts.absent() or _fetch_failure()
    if missing is None:
        return
    if os.environ.get("CI") == "true" and shutil.which("java"):
        pytest.fail(f"CI=true and Java is here, so Apache Kafka has to be: {missing}")
    pytest.skip(missing)


def _fetch_failure() -> str | None:
    try:
        artifacts.kafka_jars()
    except DownloadFailed as error:
        return str(error)
    return None
