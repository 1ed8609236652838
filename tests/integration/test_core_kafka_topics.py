"""``core kafka topics`` against Apache Kafka: list, plan, apply, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core

WORKERS = """
from core.messaging import worker
from core_messaging import Topic

@worker(
    topic=Topic("{topic}", partitions={partitions}, config={{"retention.ms": {retention}}}),
    group_id="{topic}", dlq_topic="{topic}-dlq",
)
async def greet(message: dict) -> None: ...
"""


def project(folder: Path, topic: str, partitions: int, retention: int = 86_400_000) -> None:
    (folder / "src/workers").mkdir(parents=True, exist_ok=True)
    text = WORKERS.format(topic=topic, partitions=partitions, retention=retention)
    (folder / "src/workers/greet.py").write_text(text)


def test_topics_are_planned_made_grown_and_altered_and_nothing_else_is_touched(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic = f"{apache_broker.make_topic(1)}-declared"
    env = {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address, "KAFKA_TOPIC_REPLICATION": "1"}

    def topics(*words: str) -> tuple[int, str, str]:
        done = core("kafka", "topics", *words, folder=tmp_path, env=env)
        return done.returncode, done.stdout, done.stderr

    project(tmp_path, topic, 3)
    code, said, _ = topics("plan")
    assert code == 1
    assert f"create: {topic}: partitions=3, replication=1, retention.ms=86400000" in said
    assert topics("plan")[0] == 1  # looking made nothing
    assert topics("apply")[0] == 0
    assert topics("plan")[:2] == (0, f"broker {apache_broker.address}\nevery topic is as declared\n")

    project(tmp_path, topic, 5, retention=1_000_000)
    code, said, asked = topics("apply")  # nobody answers the question
    assert (code, "not added: there is no terminal to ask at" in asked, "1 difference left" in asked) == (
        1,
        True,
        True,
    ), asked
    code, said, _ = topics("apply", "--yes")
    assert (code, f"add partitions: {topic}: 3 -> 5" in said) == (0, True)
    (found,) = [use for use in json.loads(topics("list", "--json")[1]) if use["topic"] == topic]
    assert (found["partitions"], found["config"]) == (5, {"retention.ms": "1000000"})
    assert found["workers"] == ["greet"]

    project(tmp_path, topic, 2, retention=1_000_000)
    code, said, _ = topics("apply", "--yes")
    assert code == 1
    assert f"not possible: {topic}: it has 5 partitions and 2 are declared; Kafka removes none" in said


def test_a_worker_that_creates_its_topics_makes_them_as_declared(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic = f"{apache_broker.make_topic(1)}-made"
    project(tmp_path, topic, 7)
    env = {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address, "KAFKA_TOPIC_REPLICATION": "1"}
    with running_core("kafka", "worker", "greet", "--create-topics", folder=tmp_path, env=env) as running:
        running.until_said("greet has ")
        assert running.output.count(f"{topic}[") >= 7


def test_a_config_that_the_cluster_refuses_is_one_line(apache_broker: RunningBroker, tmp_path: Path) -> None:
    topic = f"{apache_broker.make_topic(1)}-refused"
    project(tmp_path, topic, 1, retention=-5)
    env = {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address, "KAFKA_TOPIC_REPLICATION": "1"}
    done = core("kafka", "topics", "apply", folder=tmp_path, env=env)
    assert done.returncode == 1
    assert done.stderr.startswith(f"core: topic {topic}: the cluster refuses it: ")
    assert len(done.stderr.strip().splitlines()) == 1
