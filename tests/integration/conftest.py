"""Brokers as fixtures. A session starts each at most once, and only if a test asks for it.

- ``embedded_broker``, ``apache_broker``: one engine; ``.address``, ``.make_topic(partitions=4)``
- ``kafka_broker``, ``kafka_address``, ``make_topic``: the same test on both engines
- ``broker``: one of the two
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from core_messaging.local_broker import artifacts
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from core_messaging.local_broker.embedded import EmbeddedBroker
from tests.conftest import SERVERS
from tests.integration.brokers import MakeTopic, RunningBroker, require_apache


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[RunningBroker]:
    with EmbeddedBroker() as broker:
        yield RunningBroker(broker.address, "embedded")


@pytest.fixture(scope="session")
def apache_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    if os.environ.get(SERVERS):
        yield RunningBroker(os.environ[SERVERS], "apache")
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
    engine = "embedded" if artifacts.absent() and not os.environ.get(SERVERS) else "apache"
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
