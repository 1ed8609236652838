"""Apache Kafka as child processes: what tests of crashes and of security need of it."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from core_messaging.errors import BrokerStartFailed
from core_messaging.local_broker import apache
from core_messaging.local_broker.apache import ApacheCluster, ApacheNode, ApacheOptions
from core_messaging.local_broker.ports import free_ports
from core_messaging.local_broker.probe import alive_brokers
from tests.integration.brokers import require_apache

# A restarted node is let in again only when the session of its former life is over (9 s by default).
_SHORT_SESSION = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}


@pytest.fixture(autouse=True)
def _apache() -> None:
    require_apache()


async def _send(address: str, topic: str, value: bytes) -> int:
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        offset: int = (await asyncio.wait_for(producer.send_and_wait(topic, value, partition=0), 30)).offset
        return offset


async def _make(address: str, topic: str, replication: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, replication)])
    finally:
        await admin.close()


def test_a_killed_node_comes_back_on_its_port_with_its_data(tmp_path: Path) -> None:
    with ApacheCluster(ApacheOptions(folder=tmp_path, properties=_SHORT_SESSION)) as cluster:
        (node,) = cluster.nodes
        before = node.address
        asyncio.run(_make(node.address, "kept", 1))
        assert asyncio.run(_send(node.address, "kept", b"1")) == 0
        node.kill()
        assert (node.is_running, node.pid) == (False, None)
        node.start()
        node.wait_until_ready()
        assert node.address == before
        assert asyncio.run(_send(node.address, "kept", b"2")) == 1


def test_a_paused_node_is_silent_and_goes_on_when_resumed(tmp_path: Path) -> None:
    with ApacheCluster(ApacheOptions(folder=tmp_path)) as cluster:
        (node,) = cluster.nodes
        node.pause()
        # The kernel still takes the connection; nobody answers.
        with pytest.raises(TimeoutError):
            alive_brokers(node.address, timeout=0.5)
        node.resume()
        node.wait_until_ready()
        node.pause()
        node.kill()
        assert not node.is_running


def test_three_nodes_go_on_when_one_is_killed(tmp_path: Path) -> None:
    options = ApacheOptions(folder=tmp_path, nodes=3, heap="256m", properties=_SHORT_SESSION, stop_timeout=5)
    with ApacheCluster(options) as cluster:
        assert len(cluster.address.split(",")) == 3
        asyncio.run(_make(cluster.address, "kept", 3))
        asyncio.run(_send(cluster.address, "kept", b"1"))
        first, second, _ = cluster.nodes
        first.kill()
        assert asyncio.run(_send(second.address, "kept", b"2")) == 1
        first.start()
        first.wait_until_ready(brokers=3)
        cluster.kill()


def test_a_listener_with_passwords_lets_in_who_knows_one(tmp_path: Path) -> None:
    jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="secret";'
    properties = {
        "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.sasl.jaas.config": jaas,
    }
    options = ApacheOptions(folder=tmp_path, listeners={"SECURE": "SASL_PLAINTEXT"}, properties=properties)
    with ApacheCluster(options) as cluster:
        (node,) = cluster.nodes
        asyncio.run(_log_in(node, "secret"))
        # aiokafka tells a refused password as such, or as a server it could not bootstrap from.
        with pytest.raises((AuthenticationFailedError, KafkaConnectionError)):
            asyncio.run(_log_in(node, "wrong"))


async def _log_in(node: ApacheNode, password: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=node.address_of("SECURE"),
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="ann",
        sasl_plain_password=password,
    )
    try:
        await asyncio.wait_for(producer.start(), 20)
    finally:
        await producer.stop()


def test_a_server_that_refuses_its_configuration_is_told_in_its_own_words(tmp_path: Path) -> None:
    options = ApacheOptions(folder=tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(BrokerStartFailed, match=r"num\.io\.threads"), ApacheCluster(options):
        pass


def test_a_port_that_is_lost_before_the_broker_has_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        stolen = thief.getsockname()[1]
        answers = [[stolen, *free_ports(1)], free_ports(2)]
        monkeypatch.setattr(apache, "free_ports", lambda count: answers.pop(0))
        with ApacheCluster(ApacheOptions(folder=tmp_path)) as cluster:
            assert alive_brokers(cluster.address) == 1
            assert not cluster.address.endswith(f":{stolen}")
            cluster.kill()


def test_stopping_an_asked_node_ends_it_by_sigterm(tmp_path: Path) -> None:
    with ApacheCluster(ApacheOptions(folder=tmp_path)) as cluster:
        (node,) = cluster.nodes
        node.stop()
        assert node._process is not None
        assert node._process.exit_code == 128 + signal.SIGTERM
        node.stop()
