"""A terminal that is closed ends its workers in order."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import CORE, PATIENCE, environment
from tests.integration.harness import publish, run, total_committed
from tests.integration.test_running_several_processes import env

pytestmark = pytest.mark.timeout(300)

WORKER = """
import asyncio, os, pathlib
from core_messaging import Worker

class Slow(Worker):
    input_topic = group_id = "{topic}"

    async def process(self, message: dict) -> None:
        pathlib.Path("started").touch()
        await asyncio.sleep(1)
"""


class Terminal:
    """A terminal with ``core`` in its foreground."""

    def __init__(self, *arguments: str, folder: Path, variables: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        os.set_inheritable(theirs, True)
        self.process = subprocess.Popen(
            # A session of its own, whose terminal is this one: the kernel tells its leader of the end.
            ["setsid", "--ctty", CORE, *arguments],
            cwd=folder,
            env=environment(**variables),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.output = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.output += os.read(self._ours, 4096)
            except OSError:
                return

    def close(self) -> None:
        """As a user does: everybody in it hears of it, and nothing can be written there any more."""
        os.close(self._ours)


@contextmanager
def terminal(*arguments: str, folder: Path, variables: dict[str, str]) -> Iterator[Terminal]:
    made = Terminal(*arguments, folder=folder, variables=variables)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def until_exists(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} is not there"
        time.sleep(0.02)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_what_runs_when_the_terminal_is_closed_is_finished_and_committed(
    apache_broker: RunningBroker, tmp_path: Path, processes: str
) -> None:
    topic = apache_broker.make_topic()
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/slow.py").write_text(WORKER.format(topic=topic))
    arguments = ("kafka", "worker", "Slow", "--processes", processes)
    with terminal(*arguments, folder=tmp_path, variables=env(apache_broker)) as made:
        run(publish(apache_broker.address, topic, [(b"k", json.dumps({}).encode())]))
        until_exists(tmp_path / "started")
        made.close()
        # A shell says it once more to all of its jobs, and so it comes twice.
        os.kill(made.process.pid, signal.SIGHUP)
        assert made.process.wait(PATIENCE) == 0, made.output.decode()
    assert run(total_committed(apache_broker.address, topic)) == 1


def test_with_nohup_a_worker_outlives_its_terminal(apache_broker: RunningBroker, tmp_path: Path) -> None:
    topic = apache_broker.make_topic()
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/slow.py").write_text(WORKER.format(topic=topic))
    log = (tmp_path / "log").open("w")
    with log:
        process = subprocess.Popen(
            ["nohup", CORE, "kafka", "worker", "Slow"],
            cwd=tmp_path,
            env=environment(**env(apache_broker)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    run(publish(apache_broker.address, topic, [(b"k", json.dumps({}).encode())]))
    until_exists(tmp_path / "started")
    process.send_signal(signal.SIGHUP)
    (tmp_path / "started").unlink()
    run(publish(apache_broker.address, topic, [(b"k", json.dumps({}).encode())]))
    until_exists(tmp_path / "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
