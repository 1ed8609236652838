"""The first steps on the embedded broker: edit, Ctrl-C, start again; and a second worker beside the first."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core

WORKER = """
from core_messaging import Worker

class EmailWorker(Worker):
    input_topic = "{topic}"
    group_id = "{topic}"

    async def process(self, message: dict) -> None:
        print("got", message["n"], flush=True)
"""


@pytest.fixture
def topic(embedded_broker: RunningBroker, tmp_path: Path) -> str:
    topic = f"mail-{uuid.uuid4().hex[:8]}"
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/email.py").write_text(WORKER.format(topic=topic))
    (tmp_path / ".env").write_text(f"KAFKA_BOOTSTRAP_SERVERS={embedded_broker.address}\n")
    return topic


def publish(topic: str, number: int, folder: Path) -> None:
    done = core("kafka", "publish", topic, "--message", f'{{"n": {number}}}', folder=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_worker_that_is_started_again_goes_on_soon(topic: str, tmp_path: Path, number: int) -> None:
    # Without care it would take the 44 s of a usual session; `until_said` has 30 s of patience.
    for start in range(4):
        publish(topic, start, tmp_path)
        with running_core("kafka", "worker", "EmailWorker", "--create-topics", folder=tmp_path) as worker:
            worker.until_said(f"got {start}")
            worker.signal(number)
            assert worker.wait() in (0, -signal.SIGKILL)


def test_a_second_member_is_refused_and_the_first_one_is_not_disturbed(topic: str, tmp_path: Path) -> None:
    publish(topic, 1, tmp_path)
    with running_core("kafka", "worker", "EmailWorker", "--create-topics", folder=tmp_path) as first:
        first.until_said("got 1")
        second = core("kafka", "worker", "EmailWorker", folder=tmp_path)
        assert second.returncode == 1
        assert f"core: group {topic} has a member already" in second.stderr.splitlines()[-1]
        publish(topic, 2, tmp_path)
        first.until_said("got 2")
        first.signal(signal.SIGINT)
        assert first.wait() == 0
        assert [line for line in first.lines if line.startswith("got")] == ["got 1", "got 2"]
        assert "lost" not in first.output
