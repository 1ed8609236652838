"""TLS and passwords against real Kafka: the right ones work, the wrong ones are one line without a secret."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from core_messaging.brokers.apache import ApacheCluster, ApacheOptions
from core_messaging.errors import BrokerRefused, ConfigurationError
from core_messaging.producer import get_producer
from core_messaging.runtime import RunOptions, run_workers
from core_messaging.settings import Settings
from tests.conftest import RunningBroker, require_apache
from tests.integration.commands import core
from tests.integration.harness import run, until
from tests.integration.test_messages import journal

PASSWORD = "right-horse"  # noqa: S105 - of a broker that lives for this test
JAAS = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="{PASSWORD}";'
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class Secured:
    """A broker with a TLS listener that asks for a password, and one whose certificate has expired."""

    plain: RunningBroker
    address: str
    expired: str
    authority: Path
    foreign: Path


def keystore(certificate: trustme.LeafCert, folder: Path, name: str) -> dict[str, str]:
    """Server properties for a listener *name* that shows *certificate*."""
    # Kafka reads PKCS #8 only.
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    file = folder / f"{name}.pem"
    file.write_bytes(pem + chain)
    prefix = f"listener.name.{name}."
    return {
        f"{prefix}ssl.keystore.type": "PEM",
        f"{prefix}ssl.keystore.location": str(file),
        f"{prefix}sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{prefix}scram-sha-256.sasl.jaas.config": SCRAM,
        f"{prefix}scram-sha-512.sasl.jaas.config": SCRAM,
        f"{prefix}plain.sasl.jaas.config": JAAS,
    }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    require_apache()
    folder = tmp_path_factory.mktemp("secured")
    ours, foreign = trustme.CA(), trustme.CA()
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    properties = keystore(ours.issue_cert("127.0.0.1"), folder, "secure")
    properties |= keystore(ours.issue_cert("127.0.0.1", not_after=past), folder, "expired")
    for name, authority in (("ca", ours), ("foreign", foreign)):
        authority.cert_pem.write_to_path(str(folder / f"{name}.pem"))
    listeners = {"SECURE": "SASL_SSL", "EXPIRED": "SASL_SSL"}
    options = ApacheOptions(
        folder=folder / "kafka", listeners=listeners, properties=properties, scram_users={"sam": PASSWORD}
    )
    with ApacheCluster(options) as cluster:
        (node,) = cluster.nodes
        yield Secured(
            RunningBroker(cluster.address, "apache"),
            node.address_of("SECURE"),
            node.address_of("EXPIRED"),
            folder / "ca.pem",
            folder / "foreign.pem",
        )
        cluster.kill()


def settings(secured: Secured, **others: Any) -> Settings:
    given: dict[str, Any] = {
        "kafka_bootstrap_servers": secured.address,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_username": "ann",
        "kafka_sasl_password": PASSWORD,
        "kafka_ssl_cafile": secured.authority,
    }
    return Settings(**(given | others))


@pytest.mark.parametrize(
    ("mechanism", "user"), [("PLAIN", "ann"), ("SCRAM-SHA-256", "sam"), ("SCRAM-SHA-512", "sam")]
)
def test_the_security_settings_reach_worker_and_producer(mechanism: str, user: str, secured: Secured) -> None:
    topic = secured.plain.make_topic()

    async def process(self: Any, message: dict[str, Any]) -> None:
        self.seen.append(message)

    made = journal(input_topic=topic, process=process)

    async def test() -> None:
        chosen = settings(secured, kafka_sasl_mechanism=mechanism, kafka_sasl_username=user)
        async with get_producer("kafka", settings=chosen) as producer:
            await producer.send(topic=topic, message={"n": 1})
        task = asyncio.create_task(run_workers([made], RunOptions(settings=chosen, handle_signals=False)))
        await until(lambda: made.seen == [{"n": 1}], task)
        task.cancel()
        await asyncio.wait([task])

    run(test())


def refusal(chosen: Settings) -> str:
    """What a producer is told. Its connections are closed afterwards: TLS says goodbye in both directions, and
    the broker lets a client whose password was wrong wait for that."""

    async def send() -> str:
        before = open_sockets()
        with pytest.raises(BrokerRefused) as caught:
            await get_producer("kafka", settings=chosen).send(topic="t", message="x")
        while open_sockets() > before:  # noqa: ASYNC110 - the system has no event for it
            await asyncio.sleep(0.02)
        return str(caught.value)

    return run(send())


def open_sockets() -> int:
    found = 0
    for entry in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):
            found += stat.S_ISSOCK(os.fstat(int(entry.name)).st_mode)
    return found


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused_at_once_and_not_shown(mechanism: str, secured: Secured) -> None:
    wrong = {"kafka_sasl_password": "wrong-horse", "kafka_start_timeout": 60.0}
    wrong |= {"kafka_sasl_mechanism": mechanism, "kafka_sasl_username": "sam"}
    said = refusal(settings(secured, **wrong))
    assert "uthentication failed" in said
    assert "kafka_sasl_*" in said
    assert "horse" not in said


def test_a_foreign_and_an_expired_certificate_are_told_apart(secured: Secured) -> None:
    assert "unable to get local issuer certificate" in refusal(
        settings(secured, kafka_ssl_cafile=secured.foreign)
    )
    assert "certificate has expired" in refusal(settings(secured, kafka_bootstrap_servers=secured.expired))


def test_the_command_line_tells_it_in_one_line(secured: Secured, tmp_path: Path) -> None:
    (tmp_path / "src/workers").mkdir(parents=True)
    source = "from core_messaging import worker\n@worker(topic='t')\nasync def handle(message: dict): ...\n"
    (tmp_path / "src/workers/w.py").write_text(source)
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": secured.address,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": "ann",
        "KAFKA_SASL_PASSWORD": "wrong-horse",
        "KAFKA_SSL_CAFILE": str(secured.authority),
    }
    found = core("kafka", "worker", "handle", folder=tmp_path, env=variables)
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"core: the Kafka broker at {secured.address} refuses this client (")
    assert "horse" not in found.stderr


def test_incomplete_security_settings_say_what_is_missing(secured: Secured) -> None:
    async def send(chosen: Settings) -> None:
        await get_producer("kafka", settings=chosen).send(topic="t", message="x")

    with pytest.raises(ConfigurationError, match="KAFKA_SASL_USERNAME"):
        run(send(settings(secured, kafka_sasl_username=None)))
    with pytest.raises(ConfigurationError, match="the TLS files cannot be used"):
        run(send(settings(secured, kafka_ssl_cafile=Path("nothing.pem"))))
