"""How ``core kafka worker`` starts where things are not ready yet, and what a person at a terminal sees."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from core_messaging.local_broker.ports import free_ports
from tests.integration.brokers import RunningBroker
from tests.integration.commands import CORE, PATIENCE, core, environment, running_core
from tests.integration.harness import run

WORKER = """
from core.messaging import worker

@worker(topic="{topic}", group_id="{topic}")
async def greet(message: dict) -> None:
    print("hello", message["name"], flush=True)
"""


def project(folder: Path, topic: str) -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/greet.py").write_text(WORKER.format(topic=topic))
    return folder


def test_a_worker_started_before_its_broker_waits_for_it(tmp_path: Path) -> None:
    # In a compose file nothing starts in order; a worker that gives up at once would need a loop around it.
    folder = project(tmp_path, "greetings")
    (port,) = free_ports(1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
    with running_core("kafka", "worker", "greet", "--create-topics", folder=folder, env=env) as worker:
        worker.until_said("127.0.0.1")  # it has noticed that nobody is there
        assert worker.process.poll() is None
        with running_core("kafka", "up", "--port", str(port), folder=folder) as broker:
            worker.until_said("greet has greetings[0]")
            message = ("greetings", "--message", '{"name": "ada"}')
            assert core("kafka", "publish", *message, folder=folder, env=env).returncode == 0
            worker.until_said("hello ada")
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0, worker.output
            broker.signal(signal.SIGTERM)
            assert broker.wait() == 0


def test_create_topics_takes_partitions_and_replication_from_the_settings(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic = f"wide-{tmp_path.name}"
    env = {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address, "KAFKA_TOPIC_PARTITIONS": "7"}
    folder = project(tmp_path, topic)
    with running_core("kafka", "worker", "greet", "--create-topics", folder=folder, env=env) as worker:
        worker.until_said(f"greet has {topic}[0]")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.output
    assert run(partitions_of(apache_broker.address, topic)) == set(range(7))
    # One broker cannot keep two copies: that the number arrives shows in its refusal.
    other = {**env, "KAFKA_TOPIC_REPLICATION": "2"}
    second = project(tmp_path / "second", f"{topic}-2")
    refused = core("kafka", "worker", "greet", "--create-topics", folder=second, env=other)
    assert refused.returncode == 1
    assert "replication" in refused.stderr.lower()
    assert "Traceback" not in refused.stderr


async def partitions_of(address: str, topic: str) -> set[int]:
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        return set(await producer.partitions_for(topic))
    finally:
        await producer.stop()


def at_a_terminal(*arguments: str, folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run ``core ...`` to its end with a terminal as its standard error; what was shown there."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []
    reader = threading.Thread(target=_read, args=(ours, shown), daemon=True)
    try:
        command = [CORE, *arguments]
        given = environment(TERM="xterm-256color", **env)
        process = subprocess.Popen(
            command, cwd=folder, env=given, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs
        )
        os.close(theirs)
        reader.start()
        code = process.wait(PATIENCE)
        reader.join(PATIENCE)
    finally:
        os.close(ours)
    return code, b"".join(shown).decode()


def _read(terminal: int, shown: list[bytes]) -> None:
    try:
        while chunk := os.read(terminal, 65536):
            shown.append(chunk)
    except OSError:
        return  # Linux's way of saying that the other side is closed


def test_publish_shows_a_progress_bar_on_a_terminal_and_none_in_a_pipe(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"name": str(number)}) + "\n" for number in range(2000)))
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    arguments = ("kafka", "publish", topic, "--file", str(tasks))
    code, shown = at_a_terminal(*arguments, folder=tmp_path, env=env)
    assert code == 0, shown
    assert "━" in shown
    piped = core(*arguments, folder=tmp_path, env=env)
    assert piped.returncode == 0
    assert "━" not in piped.stderr + piped.stdout


def test_the_log_is_in_colour_on_a_terminal(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}", "KAFKA_START_TIMEOUT": "1"}
    code, shown = at_a_terminal("kafka", "worker", "greet", folder=project(tmp_path, "t"), env=env)
    assert code == 1
    assert "no Kafka broker answers" in shown
    assert "\x1b[" in shown


@pytest.mark.parametrize(
    "words", [["publish", "tasks", "--message", "{}"], ["fleet"]], ids=["publish", "fleet"]
)
def test_a_command_at_a_terminal_gives_up_soon_where_no_broker_runs(tmp_path: Path, words: list[str]) -> None:
    # A script waits for kafka_start_timeout, because the broker may be starting. A person has mistyped the address.
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "KAFKA_START_TIMEOUT": "3600",
        "KAFKA_CONTROL_TOPIC": "control",
    }
    code, shown = at_a_terminal("kafka", *words, folder=tmp_path, env=env)
    assert code == 1
    assert "no Kafka broker answers at 127.0.0.1:1 yet" in shown
    assert "waiting up to 3 s" in shown
    assert shown.splitlines()[-1].startswith("core: no Kafka broker answers at 127.0.0.1:1")
