"""``core kafka reset-offsets`` on Apache Kafka: a worker goes on where it was sent, and never while one runs."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core
from tests.integration.harness import publish, run

WORKER = """
from core.messaging import worker

@worker(topic="{topic}", group_id="{topic}")
async def greet(message: dict) -> None:
    print("hello", message["n"], flush=True)
"""


def test_a_worker_goes_on_where_its_group_was_sent(apache_broker: RunningBroker, tmp_path: Path) -> None:
    topic, env = apache_broker.make_topic(1), {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address}
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/greet.py").write_text(WORKER.format(topic=topic))
    run(publish(apache_broker.address, topic, [(b"k", b'{"n": %d}' % n) for n in range(10)]))

    def reset(*words: str) -> tuple[int, str]:
        done = core("kafka", "reset-offsets", "greet", *words, folder=tmp_path, env=env)
        return done.returncode, done.stdout + done.stderr

    def worked() -> list[str]:
        """What a worker handles until nothing is left; while it runs, no offset can be moved."""
        with running_core("kafka", "worker", "greet", folder=tmp_path, env=env) as running:
            running.until_said("hello 9")
            code, said = reset("--to", "earliest", "--yes")
            assert code == 1
            assert f"group {topic} has 1 member: core-messaging" in said
            assert "Stop every process that runs greet" in said
            running.signal(signal.SIGTERM)
            assert running.wait() == 0
        return [line for line in running.lines if line.startswith("hello")]

    assert len(worked()) == 10
    code, said = reset("--to", "earliest", "--dry-run")
    assert (code, "10 messages to process again" in said, "nothing was changed" in said) == (0, True, True)
    code, said = reset("--to", "earliest")  # nobody answers the question
    assert (code, "give --yes" in said) == (1, True)
    assert reset("--to=-3", "--yes")[0] == 0
    assert worked() == ["hello 7", "hello 8", "hello 9"]
    assert reset("--to", "4", "--yes")[0] == 0
    assert len(worked()) == 6
    assert reset("--to", "2020-01-01T00:00:00+00:00", "--topic", topic, "--partition", "0", "--yes")[0] == 0
    assert len(worked()) == 10
    code, said = reset("--to", "earliest", "--partition", "7")
    assert (code, "reads no such partition" in said) == (1, True)
    assert reset("--to", "sometime")[0] == 1
