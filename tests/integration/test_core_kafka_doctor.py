"""``core kafka doctor`` against real brokers: what is sound, what is not, and what cannot be reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core

WORKERS = """
from core.messaging import worker

@worker(topic="{topic}", group_id="{topic}")
async def greet(message: dict) -> None: ...
"""


def project(folder: Path, topic: str) -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/greet.py").write_text(WORKERS.format(topic=topic))
    return folder


def test_a_running_worker_is_sound_and_a_stranger_in_its_group_is_named(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, other = apache_broker.make_topic(2), apache_broker.make_topic(1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address}
    folder = project(tmp_path, topic)

    def look() -> tuple[int, list[dict[str, Any]]]:
        done = core("kafka", "doctor", "greet", "--json", folder=folder, env=env)
        return done.returncode, json.loads(done.stdout)

    code, found = look()
    assert (code, [each["check"] for each in found if each["level"] == "warning"][-1]) == (
        0,
        f"group {topic}",
    )
    with running_core("kafka", "worker", "greet", folder=folder, env=env) as first:
        first.until_said("greet has ")
        code, found = look()
        assert (code, [each["level"] for each in found if each["check"] == f"group {topic}"]) == (0, [])
        (broker,) = [each for each in found if each["check"] == "broker"]
        assert "1 broker" in broker["text"]
        (folder / "src/workers/other.py").write_text(
            WORKERS.format(topic=topic)
            .replace(f'topic="{topic}"', f'topic="{other}"')
            .replace("greet", "stray")
        )
        with running_core("kafka", "worker", "stray", folder=folder, env=env) as second:
            second.until_said("stray has ")
            first.until(lambda: look()[0] == 1)
            told = core("kafka", "doctor", "greet", folder=folder, env=env).stdout
    assert f"reads {other}, and greet reads {topic}: two kinds of worker share one group" in told
    assert "    give each kind of worker a group_id of its own" in told


def test_a_missing_topic_and_a_broken_worker_are_problems(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    folder = project(tmp_path, "nobody-made-this-topic")
    (folder / "src/workers/broken.py").write_text("import nothing_like_this\n")
    done = core("kafka", "doctor", folder=folder, env={"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address})
    assert done.returncode == 1, done.stderr
    assert "problem: topic nobody-made-this-topic: it does not exist" in done.stdout
    assert "nothing_like_this" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_without_workers_is_looked_at_as_well(kafka_broker: RunningBroker, tmp_path: Path) -> None:
    # It ended with a traceback: the client was stopped before it had read anything.
    done = core("kafka", "doctor", folder=tmp_path, env={"KAFKA_BOOTSTRAP_SERVERS": kafka_broker.address})
    assert done.returncode == 0, done.stderr
    assert "ok: broker: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_worker_on_any_broker_is_looked_at_and_its_topics_are_listed(
    kafka_broker: RunningBroker, tmp_path: Path
) -> None:
    # The embedded broker does not tell configs; that ended the command.
    topic, env = kafka_broker.make_topic(), {"KAFKA_BOOTSTRAP_SERVERS": kafka_broker.address}
    folder = project(tmp_path, topic)
    done = core("kafka", "doctor", "greet", folder=folder, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = core("kafka", "topics", "list", folder=folder, env=env)
    assert (listed.returncode, topic in listed.stdout) == (0, True), listed.stderr


def test_a_broker_that_does_not_answer_is_a_finding(tmp_path: Path) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_START_TIMEOUT": "0.2"}
    done = core("kafka", "doctor", folder=project(tmp_path, "orders"), env=env)
    assert done.returncode == 1
    assert "problem: broker: " in done.stdout
    assert "127.0.0.1:1" in done.stdout
