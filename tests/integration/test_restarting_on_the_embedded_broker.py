"""The first steps on the embedded broker: edit, Ctrl-C, start again; and a second worker beside the first."""

from __future__ import annotations

import asyncio
import signal
import uuid
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from core_messaging.local_broker.launcher import NewTopic, embedded
from core_messaging.local_broker.ports import free_ports
from core_messaging.producer import get_producer
from core_messaging.worker import Worker
from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core
from tests.integration.harness import run, running, settings_for

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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_worker_that_is_started_again_goes_on_soon(topic: str, tmp_path: Path, number: int) -> None:
    # Without care it would take the 44 s of a usual session.
    for start in range(4):
        publish(topic, start, tmp_path)
        with running_core("kafka", "worker", "EmailWorker", "--create-topics", folder=tmp_path) as worker:
            worker.until(lambda start=start: f"got {start}" in worker.output, patience=40)  # type: ignore[misc] # binds the loop's value
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


def test_a_worker_and_a_producer_find_a_broker_that_was_started_again() -> None:
    # The new broker listens at the same port and has another port for its node. The client knew only the old one.
    (port,) = free_ports(1)
    seen: list[int] = []
    got = [asyncio.Event(), asyncio.Event()]

    class Restarted(Worker):
        input_topic = "restarted"

        async def process(self, message: dict[str, int]) -> None:
            seen.append(message["n"])
            got[message["n"]].set()

    async def test(brokers: ExitStack) -> None:
        async with AsyncExitStack() as stack:
            with embedded(port, [NewTopic("restarted")]) as first:
                settings = settings_for(first.address, kafka_start_timeout=30.0)
                producer = await stack.enter_async_context(get_producer("kafka", settings=settings))
                await stack.enter_async_context(running(first.address, Restarted))
                await producer.send(topic="restarted", message={"n": 0}, partition=0)
                await got[0].wait()
            brokers.enter_context(embedded(port, [NewTopic("restarted")]))
            # The same partition: an offset of the former broker is beyond this message.
            await producer.send(topic="restarted", message={"n": 1}, partition=0)
            await got[1].wait()

    with ExitStack() as brokers:
        run(test(brokers))
    assert seen == [0, 1]
