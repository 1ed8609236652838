"""``core kafka up`` as a person uses it: a process in a terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.integration.brokers import require_apache
from tests.integration.commands import PATIENCE

_UP = [sys.executable, "-c", "from core_messaging_cli.main import main; main()", "kafka", "up"]


class Running:
    """A ``core kafka up`` that has said its address."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.words = ""
        self.address = self._address()

    def _address(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.words += line
            if "KAFKA_BOOTSTRAP_SERVERS=" in line:
                return line.partition("=")[2].strip()
        raise AssertionError(f"ended without an address: {self.words}")

    def finish(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.words += self.process.stdout.read()
        return self.process.wait(PATIENCE)


@contextmanager
def running(*options: str) -> Iterator[Running]:
    command = [*_UP, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield Running(process)
        finally:
            watchdog.cancel()
            process.kill()


def refused(*options: str, env: dict[str, str] | None = None) -> str:
    """What it says on standard error when it does not start; always one line and exit code 1."""
    done = subprocess.run(
        [*_UP, *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=os.environ | (env or {}),
    )
    assert done.returncode == 1, done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def test_a_topic_with_two_numbers_of_partitions_is_refused() -> None:
    done = subprocess.run(
        [*_UP, "--topic", "emails:4", "--topic", "emails:8"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "emails is given twice, with different numbers of partitions" in done.stderr


@pytest.fixture(params=["embedded", "apache"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Sequence[str]:
    """The options of either engine, on any free port."""
    if request.param == "embedded":
        return ["--port", "0"]
    require_apache()
    return ["--port", "0", "--engine", "apache", "--data", str(tmp_path / "data")]


async def _send(address: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        await asyncio.wait_for(producer.send_and_wait(topic, value, partition=0), 20)


async def _first(address: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=address, group_id="g", auto_offset_reset="earliest")
    async with consumer:
        value: bytes | None = (await asyncio.wait_for(consumer.getone(), 20)).value
        return value


async def _partitions(address: str, topic: str) -> int:
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        return len(await producer.partitions_for(topic))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_exits_0(engine: Sequence[str], number: signal.Signals) -> None:
    with running(*engine, "--topic", "emails") as broker:
        asyncio.run(_send(broker.address, "emails", b"hello"))
        assert asyncio.run(_first(broker.address, "emails")) == b"hello"
        assert broker.finish(number) == 0
    assert broker.words.splitlines()[-1] == "stopped"
    assert "Traceback" not in broker.words


def test_the_embedded_broker_says_its_limits() -> None:
    with running("--port", "0") as broker:
        broker.finish(signal.SIGTERM)
    for limit in ("memory only", "one member", "5 MB in a partition", "4 partitions"):
        assert limit in broker.words


def test_the_embedded_broker_can_be_had_at_a_chosen_port() -> None:
    port = _free_port()
    with running("--port", str(port)) as broker:
        assert broker.address == f"127.0.0.1:{port}"
        asyncio.run(_send(broker.address, "emails", b"hello"))
        assert asyncio.run(_first(broker.address, "emails")) == b"hello"
        assert broker.finish(signal.SIGTERM) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_apache_keeps_topics_and_messages_until_reset(tmp_path: Path) -> None:
    require_apache()
    options = ["--port", "0", "--engine", "apache", "--data", str(tmp_path)]
    with running(*options, "--topic", "emails:2") as broker:
        assert asyncio.run(_partitions(broker.address, "emails")) == 2
        asyncio.run(_send(broker.address, "emails", b"kept"))
        assert broker.finish(signal.SIGTERM) == 0
    with running(*options) as broker:
        assert asyncio.run(_first(broker.address, "emails")) == b"kept"
        assert broker.finish(signal.SIGTERM) == 0
    (tmp_path / "notes.txt").write_text("a person's own")
    with running(*options, "--reset", "--topic", "emails:3") as broker:
        assert asyncio.run(_partitions(broker.address, "emails")) == 3
        assert broker.finish(signal.SIGTERM) == 0
    # Even in its own folder it deletes only what it has made.
    assert (tmp_path / "notes.txt").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = refused("--engine", "apache", "--data", str(tmp_path / "file" / "data"))
    assert "no data can be kept in" in told
    assert "name another folder with --data" in told


@pytest.mark.parametrize("options", [[], ["--reset"]])
def test_a_foreign_folder_is_neither_used_nor_wiped(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "node-1").mkdir()
    (tmp_path / "node-1" / "thesis.txt").write_text("three years")
    assert "not made by" in refused("--engine", "apache", "--data", str(tmp_path), *options)
    assert (tmp_path / "node-1" / "thesis.txt").read_text() == "three years"


def test_reset_does_not_wipe_under_a_running_broker(tmp_path: Path) -> None:
    require_apache()
    options = ["--port", "0", "--engine", "apache", "--data", str(tmp_path)]
    with running(*options, "--topic", "emails") as broker:
        assert "in use by another" in refused(*options, "--reset")
        asyncio.run(_send(broker.address, "emails", b"hello"))
        assert broker.finish(signal.SIGTERM) == 0


def test_a_port_in_use_is_one_line(engine: Sequence[str]) -> None:
    if "apache" in engine:
        require_apache()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = [str(port) if option == "0" else option for option in engine]
        assert f"port {port} of 127.0.0.1 is in use" in refused(*options)


def test_without_java_it_is_one_line_that_names_the_remedy(tmp_path: Path) -> None:
    words = refused(
        "--engine", "apache", "--data", str(tmp_path), env={"PATH": str(tmp_path), "JAVA_HOME": ""}
    )
    assert "needs Java 17 or newer" in words


def test_without_maven_it_is_one_line_that_names_the_remedy(tmp_path: Path) -> None:
    require_apache()
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    env = {"PATH": str(tmp_path), "JAVA_HOME": "", "XDG_CACHE_HOME": str(tmp_path), "CORE_KAFKA_FOLDER": ""}
    assert "needs Maven" in refused("--engine", "apache", "--data", str(tmp_path / "data"), env=env)


def test_a_failing_download_leaves_nothing_behind_and_is_one_line(tmp_path: Path) -> None:
    # Half a folder of jar files would be taken for a whole one the next time.
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho '[ERROR] no route to the repository'\nexit 1\n")
    (tmp_path / "bin" / "java").symlink_to("/bin/true")
    for each in (maven, maven.parent / "java"):
        each.chmod(0o755)
    env = {
        "PATH": f"{maven.parent}:/usr/bin:/bin",
        "JAVA_HOME": "",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "CORE_KAFKA_FOLDER": "",
    }
    assert "no route to the repository" in refused(
        "--engine", "apache", "--data", str(tmp_path / "data"), env=env
    )
    assert list((tmp_path / "cache" / "core-messaging").iterdir()) == []


def test_without_the_wheel_it_is_one_line_that_names_the_extra(tmp_path: Path) -> None:
    # A module of that name that cannot be imported stands for the one that is not installed.
    (tmp_path / "confluent_kafka.py").write_text("raise ImportError('not here')\n")
    words = refused("--port", "0", env={"PYTHONPATH": str(tmp_path)})
    assert "pip install 'core-messaging[embedded]'" in words


def test_other_partitions_than_the_embedded_broker_has_are_refused() -> None:
    assert "--engine apache" in refused("--port", "0", "--topic", "emails:8")


def test_a_broker_that_dies_is_told_and_exits_1(tmp_path: Path) -> None:
    require_apache()
    with running("--port", "0", "--engine", "apache", "--data", str(tmp_path)) as broker:
        os.kill(_java_of(tmp_path), signal.SIGKILL)
        assert broker.process.stdout is not None
        broker.words += broker.process.stdout.read()
        assert broker.process.wait(PATIENCE) == 1
    assert "ended by itself" in broker.words


def test_a_killed_parent_leaves_no_java_behind(tmp_path: Path) -> None:
    # The kernel gives a SIGKILLed parent no chance to tidy up, as with a test run that is shot.
    require_apache()
    with running("--port", "0", "--engine", "apache", "--data", str(tmp_path)) as broker:
        assert len(processes_of(tmp_path)) == 1
        broker.process.kill()
        broker.process.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while processes_of(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes_of(tmp_path) == []


def _java_of(data: Path) -> int:
    """The process id of the broker whose configuration is below *data*."""
    (pid,) = processes_of(data)
    return pid


def processes_of(data: Path) -> list[int]:
    """The Java processes whose configuration is below *data*."""
    config = str(data / "node-1" / "server.properties")
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split(maxsplit=1) for line in listing.splitlines())
    return [int(pid) for pid, command in rows if config in command and not command.startswith("/bin/sh")]
