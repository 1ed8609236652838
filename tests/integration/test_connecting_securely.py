"""TLS and passwords against real Kafka: the right ones work, the wrong ones are one line without a secret."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from core_messaging.errors import BrokerRefused, ConfigurationError
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from core_messaging.producer import get_producer
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from tests.integration.brokers import RunningBroker, require_apache
from tests.integration.commands import core, running_core
from tests.integration.harness import run, until
from tests.integration.journal import journal

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


WORKER = """
from core_messaging import worker

@worker(topic="{topic}", dlq_topic="{topic}-dlq", max_retries=1, retry_backoff="fixed", initial_delay=0.01)
async def handle(message: dict) -> None:
    from src.settings import AppSettings
    if message["n"] == 0:
        password = AppSettings().kafka_sasl_password
        raise ConnectionError(f"cannot log in with {{password.get_secret_value()}}: {{password}}")
    print("handled", flush=True)
"""
SETTINGS = """
import logging
from core_messaging.settings import Settings

class AppSettings(Settings):
    shop: str = "the shop"

logging.getLogger().addHandler(logging.FileHandler("debug.log"))
"""


def variables(secured: Secured, **others: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": secured.address,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": "ann",
        "KAFKA_SASL_PASSWORD": PASSWORD,
        "KAFKA_SSL_CAFILE": str(secured.authority),
        **others,
    }


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(("mechanism", "user"), [("PLAIN", "ann"), ("SCRAM-SHA-256", "sam")])
def test_nothing_that_a_run_prints_has_the_password(
    mechanism: str, user: str, log_format: str, secured: Secured, tmp_path: Path
) -> None:
    topic = secured.plain.make_topic(1)
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/w.py").write_text(WORKER.format(topic=topic))
    (tmp_path / "src/settings.py").write_text(SETTINGS)
    env = variables(secured, KAFKA_SASL_MECHANISM=mechanism, KAFKA_SASL_USERNAME=user)
    shown = []
    for number in (0, 1):
        message = json.dumps({"n": number})
        found = core("kafka", "publish", topic, "--message", message, folder=tmp_path, env=env)
        assert found.returncode == 0, found.stderr
        shown += [found.stdout, found.stderr]
    levels = ("--log-level", "debug", "--client-log-level", "debug", "--create-topics")
    arguments = ("kafka", "worker", "handle", *levels, "--log-format", log_format)
    with running_core(*arguments, folder=tmp_path, env=env) as worker:
        worker.until_said("handled")
        worker.until_said("dead-lettered")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    offsets = core("kafka", "offsets", "handle", folder=tmp_path, env=env)
    shown += [worker.output, offsets.stdout, offsets.stderr]
    assert "SaslAuthenticateRequest" in worker.output  # it has been as talkative as it can be
    assert "Traceback" in worker.output
    assert all(PASSWORD not in text for text in shown)
    # A handler of the project's own gets the client's lines too. What a handler of messages says is its own affair there.
    own = [line for line in (tmp_path / "debug.log").read_text().splitlines() if "Sasl" in line]
    assert own
    assert not [line for line in own if PASSWORD in line]


@pytest.mark.parametrize("command", ["worker handle", "offsets handle", "publish t --message 1"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_settings_that_are_wrong_are_told_without_a_secret_and_in_the_format_that_was_asked_for(
    command: str, log_format: str, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    source = (
        "from pydantic import field_validator\nfrom core_messaging.settings import Settings\n"
        "class AppSettings(Settings):\n    @field_validator('kafka_ssl_password')\n    @classmethod\n"
        "    def check(cls, value):\n        raise ValueError(f'{value.get_secret_value()} is too short')\n"
    )
    (tmp_path / "src/settings.py").write_text(source)
    words = ("kafka", *command.split())
    words += ("--log-format", log_format) if command.startswith("worker") else ()
    found = core(*words, folder=tmp_path, env={"KAFKA_SSL_PASSWORD": PASSWORD, "KAFKA_LINGER": "x"})
    assert found.returncode == 1
    assert PASSWORD not in found.stdout + found.stderr
    (line,) = found.stderr.splitlines()
    if log_format == "json" and command.startswith("worker"):
        line = json.loads(line)["message"]
    assert "KAFKA_SSL_PASSWORD" in line
    assert "KAFKA_LINGER" in line


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
    env = variables(secured, KAFKA_SASL_PASSWORD="wrong-horse")  # noqa: S106 - of nobody
    found = core("kafka", "worker", "handle", folder=tmp_path, env=env)
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"core: the Kafka broker at {secured.address} refuses this client (")
    assert "horse" not in found.stderr


def test_incomplete_security_settings_say_what_is_missing(secured: Secured) -> None:
    async def send(chosen: Settings) -> None:
        await get_producer("kafka", settings=chosen).send(topic="t", message="x")

    with pytest.raises(ConfigurationError, match="KAFKA_SASL_USERNAME"):
        run(send(settings(secured, kafka_sasl_username=None)))
    with pytest.raises(ConfigurationError, match="the TLS settings cannot be used"):
        run(send(settings(secured, kafka_ssl_cafile=Path("nothing.pem"))))
