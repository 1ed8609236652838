"""Dead letters under ACLs: each that is missing is told in one line, with those that are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from tests.integration.brokers import RunningBroker, require_apache
from tests.integration.commands import PATIENCE, core
from tests.integration.harness import publish, read, run
from tests.integration.test_core_kafka_dlq import letter, numbers, project

PASSWORD = "right-horse"  # noqa: S105 - of a broker that lives for this test
JAAS = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="{PASSWORD}";'


@dataclass(frozen=True)
class Guarded:
    """A broker that lets ann do what she has an ACL for, and everybody at ``plain`` do everything."""

    plain: RunningBroker
    env: dict[str, str]

    def allow(self, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        admin = AdminClient({"bootstrap.servers": self.plain.address})
        bindings = [
            AclBinding(
                kind, name, ResourcePatternType.LITERAL, "User:ann", "*", operation, AclPermissionType.ALLOW
            )
            for operation in operations
        ]
        for future in admin.create_acls(bindings).values():
            future.result(timeout=PATIENCE)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    require_apache()
    options = ApacheOptions(
        folder=tmp_path_factory.mktemp("guarded") / "kafka",
        listeners={"LOGIN": "SASL_PLAINTEXT"},
        properties={
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.plain.sasl.jaas.config": JAAS,
        },
    )
    with ApacheCluster(options) as cluster:
        (node,) = cluster.nodes
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": node.address_of("LOGIN"),
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_USERNAME": "ann",
            "KAFKA_SASL_PASSWORD": PASSWORD,
        }
        yield Guarded(RunningBroker(cluster.address, "apache"), env)
        cluster.kill()


def test_each_permission_that_is_missing_is_told_until_all_are_there(
    guarded: Guarded, tmp_path: Path
) -> None:
    topic = guarded.plain.make_topic(1)
    queue = f"{topic}-dlq"
    guarded.plain.make_topic(1, name=queue)
    run(publish(guarded.plain.address, queue, [letter(topic, n) for n in range(3)]))
    folder = project(tmp_path, topic)

    def said(*words: str, code: int) -> str:
        done = core("kafka", "dlq", *words, folder=folder, env=guarded.env)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert PASSWORD not in done.stdout + done.stderr
        assert done.stderr.count("core: ") == (1 if code else 0)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    assert f"does not let this client see {queue}" in said("list", "Orders", code=1)
    guarded.allow(ResourceType.TOPIC, queue, AclOperation.READ)
    assert f"does not let this client see {queue}.handled" in said("list", "Orders", code=1)
    guarded.allow(ResourceType.TOPIC, f"{queue}.handled", AclOperation.READ)
    assert "ValueError" in said("list", "Orders", code=0)
    assert f"does not let this client see {topic};" in said("replay", "Orders", "--yes", code=1)
    guarded.allow(ResourceType.TOPIC, topic, AclOperation.DESCRIBE)
    assert f"{queue}.handled" in said("replay", "Orders", "--yes", code=1)
    guarded.plain.make_topic(1, name=f"{queue}.handled")
    identity = f"the transactional id core-dlq-{queue}"
    assert identity in said("replay", "Orders", "--yes", code=1)
    guarded.allow(
        ResourceType.TRANSACTIONAL_ID, f"core-dlq-{queue}", AclOperation.WRITE, AclOperation.DESCRIBE
    )
    assert f"Write and Describe on {identity}" in said("replay", "Orders", "--yes", code=1)
    guarded.allow(ResourceType.TOPIC, topic, AclOperation.WRITE)
    assert identity in said("replay", "Orders", "--yes", code=1)  # the markers cannot be written
    guarded.allow(ResourceType.TOPIC, f"{queue}.handled", AclOperation.WRITE)
    assert "3 letters replayed" in said("replay", "Orders", "--yes", code=0)
    # What was refused half way was not stored.
    assert numbers(run(read(guarded.plain.address, topic, 3))) == [0, 1, 2]


def test_the_doctor_names_each_permission_that_a_worker_lacks(guarded: Guarded, tmp_path: Path) -> None:
    topic = guarded.plain.make_topic(1)
    guarded.plain.make_topic(1, name=f"{topic}-dlq")
    folder = project(tmp_path, topic)

    def told() -> str:
        return core("kafka", "doctor", "Orders", folder=folder, env=guarded.env).stdout

    for name in (topic, f"{topic}-dlq"):
        guarded.allow(ResourceType.TOPIC, name, AclOperation.DESCRIBE)
    lacking = told()
    assert f"problem: topic {topic}: this client has no ACL for Read on it, which Orders needs" in lacking
    assert (
        f"problem: topic {topic}-dlq: this client has no ACL for Write on it, which Orders needs" in lacking
    )
    assert f"problem: group {topic}: this client has no ACL for Read on it, so Orders cannot join" in lacking
    guarded.allow(ResourceType.TOPIC, topic, AclOperation.READ)
    guarded.allow(ResourceType.TOPIC, f"{topic}-dlq", AclOperation.WRITE)
    guarded.allow(ResourceType.GROUP, topic, AclOperation.READ)
    assert "no ACL for" not in told()
