"""Brokers for tests. A session starts each at most once, and only if a test asks for it.

- ``embedded_broker``, ``apache_broker``: one engine; ``.address``, ``.make_topic(partitions=4)``
- ``kafka_broker``, ``kafka_address``, ``make_topic``: the same test on both engines

Apache Kafka is the one at KAFKA_BOOTSTRAP_SERVERS, else one of our own (Java and Maven). Where it cannot be had
its tests are skipped; with CI=true and Java on the machine that is a failure.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from core_messaging.errors import DownloadFailed
from core_messaging.local_broker import artifacts
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from core_messaging.local_broker.embedded import PARTITIONS, EmbeddedBroker

Result = TypeVar("Result")
Engine = Literal["embedded", "apache"]

_SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
_CREATED_WITHIN = 15.0


class MakeTopic(Protocol):
    """Makes a topic with a name of its own and returns the name."""

    def __call__(self, partitions: int = 4) -> str: ...


@dataclass(frozen=True)
class RunningBroker:
    """A broker that is there for the whole session; tests keep out of each other's way by topic and group."""

    address: str
    engine: Engine

    def make_topic(self, partitions: int = 4, configs: Mapping[str, str] | None = None) -> str:
        """A new topic with *partitions* partitions; the embedded engine has 4 and no other number, and no
        *configs* (of the topic, as Kafka names them)."""
        if self.engine == "embedded" and partitions != PARTITIONS:
            pytest.skip(f"the embedded broker has topics of {PARTITIONS} partitions only")
        topic = f"test-{uuid.uuid4().hex[:12]}"
        _in_a_loop_of_its_own(lambda: _create(self, topic, partitions, configs))
        return topic


def pytest_sessionstart() -> None:
    """What a shell starts in the background ignores Ctrl-C, what ``nohup`` starts ignores SIGHUP, and so would all that
    the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


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


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[RunningBroker]:
    with EmbeddedBroker() as broker:
        yield RunningBroker(broker.address, "embedded")


@pytest.fixture(scope="session")
def apache_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    if os.environ.get(_SERVERS):
        yield RunningBroker(os.environ[_SERVERS], "apache")
        return
    require_apache()
    with ApacheCluster(ApacheOptions(folder=tmp_path_factory.mktemp("apache"))) as cluster:
        yield RunningBroker(cluster.address, "apache")
        # Nobody needs its data: no time is spent on an orderly end.
        cluster.kill()


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> RunningBroker:
    """One engine is enough for this test: Apache Kafka where it can be had, because it is the faster one (the
    embedded broker lets every new group wait for three seconds)."""
    engine = "embedded" if artifacts.absent() and not os.environ.get(_SERVERS) else "apache"
    chosen = request.getfixturevalue(f"{engine}_broker")
    assert isinstance(chosen, RunningBroker)
    return chosen


@pytest.fixture(scope="session", params=["embedded", "apache"])
def kafka_broker(request: pytest.FixtureRequest) -> RunningBroker:
    """One test, both engines."""
    broker = request.getfixturevalue(f"{request.param}_broker")
    assert isinstance(broker, RunningBroker)
    return broker


@pytest.fixture(scope="session")
def kafka_address(kafka_broker: RunningBroker) -> str:
    return kafka_broker.address


@pytest.fixture(autouse=True)
def event_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on both engines runs on both event loops: Apache Kafka is met on uvloop, which the command line uses
    where it is installed. With CORE_TEST_LOOP=uvloop everything in ``tests/integration`` runs on it."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("kafka_broker") == "apache":
        monkeypatch.setenv("CORE_TEST_LOOP", "uvloop")


@pytest.fixture
def make_topic(kafka_broker: RunningBroker) -> MakeTopic:
    return kafka_broker.make_topic


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


def pytest_report_header() -> str:
    servers = os.environ.get(_SERVERS)
    if servers:
        return f"Apache Kafka: the one at {servers} ({_SERVERS})"
    missing = artifacts.absent()
    if missing:
        return f"Apache Kafka: ABSENT, its tests are skipped: {missing}, or set {_SERVERS}"
    return f"Apache Kafka: {artifacts.KAFKA_VERSION}, started by the tests themselves"
