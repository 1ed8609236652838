"""A project whose processes are a fleet: they have a control topic of their own."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from core_messaging.operations.fleet import Fleet, look_at_fleet
from core_messaging.rules.fleet_state import WorkerState
from core_messaging.settings import Settings
from tests.integration.brokers import RunningBroker
from tests.integration.commands import Running, core, running_core
from tests.integration.harness import publish, run

HANGS = 86420  # the number of the message that is never finished

WORKER = """
import asyncio

from core.messaging import worker

async def hang(secret):
    await asyncio.sleep(3600)

@worker(topic="{topic}", group_id="{topic}")
async def greet(message: dict) -> None:
    print("hello", message["n"], flush=True)
    if message["n"] == {HANGS}:
        await hang(message)
"""


class Project:
    """A project with one worker, its topic, and a control topic of its own."""

    def __init__(self, broker: RunningBroker, folder: Path) -> None:
        self.folder, self._broker = folder, broker
        self.topic = broker.make_topic(2)
        self.control = f"{self.topic}-control"
        self.env = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "KAFKA_CONTROL_TOPIC": self.control,
            "METRICS_INTERVAL": "1",
        }
        (folder / "src/workers").mkdir(parents=True)
        (folder / "src/workers/greet.py").write_text(WORKER.format(topic=self.topic, HANGS=HANGS))

    def core(self, *words: str) -> tuple[int, str, str]:
        done = core("kafka", *words, folder=self.folder, env=self.env)
        return done.returncode, done.stdout, done.stderr

    def fleet(self) -> dict[str, Any]:
        code, said, wrong = self.core("fleet", "--json")
        assert code == 0, wrong
        return dict(json.loads(said))

    def look(self) -> Fleet:
        """The fleet without a command of its own: this is asked again and again."""
        settings = Settings(kafka_bootstrap_servers=self._broker.address, kafka_control_topic=self.control)
        return run(look_at_fleet(settings))

    def pids(self) -> set[int]:
        """The processes that are alive."""
        return {each.pid for each in self.look().processes}

    def workers(self) -> list[WorkerState]:
        return [worker for process in self.look().processes for worker in process.workers]

    def conditions(self) -> list[str]:
        return [worker.condition for worker in self.workers()]

    def publish(self, *numbers: int) -> None:
        records = [(b"%d" % n, b'{"n": %d}' % n) for n in numbers]
        run(publish(self._broker.address, self.topic, records))

    def publish_old(self, number: int) -> None:
        """Publish a message that was written almost as long ago as the broker keeps messages: a week."""
        written = int((time.time() - 6.5 * 24 * 3600) * 1000)

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self._broker.address) as producer:
                await producer.send_and_wait(
                    self.topic, b'{"n": %d}' % number, b"%d" % number, timestamp_ms=written
                )

        run(send())

    def worker(self, *words: str) -> Any:
        return running_core(
            "kafka", "worker", "greet", "--create-topics", *words, folder=self.folder, env=self.env
        )


def stop(running: Running) -> None:
    running.signal(signal.SIGTERM)
    assert running.wait() == 0, running.output
