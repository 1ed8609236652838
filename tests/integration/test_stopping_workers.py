"""How it ends: asked for by others than a person at a terminal, before it has begun, by itself, or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.ledger import messages
from core_messaging.local_broker.ports import free_ports
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.runtime.signals import on_signals
from core_messaging.settings import Settings
from core_messaging.worker import Worker
from tests.integration.brokers import RunningBroker
from tests.integration.commands import PATIENCE, core, running_core
from tests.integration.harness import committed, publish, run
from tests.integration.test_running_several_processes import (
    TWO,
    both_have_partitions,
    env,
    set_up,
    workers_of,
)

pytestmark = pytest.mark.timeout(300)

WORKERS = """
import threading, time
from core_messaging import Worker

class Stops(Worker):
    input_topic = "{topic}"
    max_retries = 0
    on_exhausted = "stop"
    {more}

    async def process(self, message: dict) -> None:
        raise ValueError("no address")

class Beside(Worker):
    input_topic = "{topic}"
    group_id = "beside"

    async def process(self, message: dict) -> None: ...
"""


def project(folder: Path, topic: str, more: str = "") -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/some.py").write_text(WORKERS.format(topic=topic, more=more))
    return folder


def send_one(broker: RunningBroker, topic: str) -> None:
    asyncio.run(publish(broker.address, topic, [(b"k", json.dumps({"id": 1}).encode())]))


def test_a_service_manager_that_signals_every_process_is_no_second_signal(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    # systemd does so by default, and the supervisor passes it on: each process left at once, with 143.
    topic, ledger = set_up(apache_broker, tmp_path)
    with running_core(*TWO, folder=tmp_path, env=env(apache_broker)) as process:
        both_have_partitions(process, topic)
        run(publish(apache_broker.address, topic, messages(16, keys=16, seconds=2)))
        process.until(lambda: len(workers_of(ledger)) == 2)
        for pid in (*workers_of(ledger), process.process.pid):
            os.kill(pid, signal.SIGTERM)
        assert process.wait() == 0, process.output
    assert "leaving at once" not in process.output
    entries = list(ledger.entries())
    assert {e.number for e in entries if e.event == "start"} == ledger.finished()


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_no_broker_answers_is_an_orderly_end(
    tmp_path: Path, number: signal.Signals, processes: str
) -> None:
    (port,) = free_ports(1)
    variables = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
    arguments = ("kafka", "worker", "Beside", "--processes", processes)
    with running_core(*arguments, folder=project(tmp_path, "t"), env=variables) as process:
        process.until(lambda: process.output.count("waiting up to") == int(processes))
        process.signal(number)
        assert process.wait() == 0, process.output
    assert process.output.count("stopping; nothing had begun") == int(processes)


def test_a_thread_that_does_not_end_is_named_and_does_not_keep_the_process(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic = apache_broker.make_topic()
    setup = 'def setup(self): threading.Thread(target=time.sleep, args=(600,), name="lingering").start()'
    folder = project(tmp_path, topic, setup)
    with running_core("kafka", "worker", "Stops", folder=folder, env=env(apache_broker)) as process:
        process.until_said(f"Stops has {topic}[")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output
    assert "the process is still held up by threads lingering" in process.output


def test_a_worker_that_stops_by_itself_says_why_at_once_and_has_limited_time(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    # A teardown that hung made it a process that consumes nothing, says nothing and never ends.
    topic = apache_broker.make_topic()
    folder = project(tmp_path, topic, "def teardown(self): return __import__('asyncio').sleep(600)")
    send_one(apache_broker, topic)
    variables = env(apache_broker, SHUTDOWN_TIMEOUT="1")
    with running_core("kafka", "worker", "--all", folder=folder, env=variables) as process:
        process.until_said("The whole process stops, and with it Beside")
        assert process.wait() == 1, process.output
    assert "Stops ends: worker Stops stopped: " in process.output
    assert "stopping took longer than 4 s (Stops in teardown())" in process.output


HANGS = """async def setup(self):
        print('!')
        while True:
            try:
                await Event().wait()
            except CancelledError:
                pass"""


def test_a_setup_that_hangs_is_named(apache_broker: RunningBroker, tmp_path: Path) -> None:
    # It keeps its cancellation to itself.
    folder = project(tmp_path, apache_broker.make_topic(), HANGS)
    source = folder / "src/workers/some.py"
    source.write_text("from asyncio import CancelledError, Event\n" + source.read_text())
    variables = env(apache_broker, SHUTDOWN_TIMEOUT="1", PYTHONUNBUFFERED="1")
    with running_core("kafka", "worker", "Stops", folder=folder, env=variables) as process:
        process.until_said("!")
        process.signal(signal.SIGTERM)
        assert process.wait() == 1, process.output
    assert "SIGTERM: stopping, waiting up to 1 s for Stops in setup()" in process.output
    assert "stopping took longer than 4 s (Stops in setup())" in process.output


def test_stop_stops_all_processes_and_starts_none_again(apache_broker: RunningBroker, tmp_path: Path) -> None:
    topic = apache_broker.make_topic()
    folder = project(tmp_path, topic)
    arguments = ("kafka", "worker", "Stops", "--processes", "2")
    with running_core(*arguments, folder=folder, env=env(apache_broker)) as process:
        process.until(lambda: process.output.count("Stops has") >= 2)
        send_one(apache_broker, topic)
        assert process.wait() == 1, process.output
    assert "has stopped for good, and would again after a restart; stopping all" in process.output
    assert "It is started again" not in process.output


def test_the_programs_own_signal_handlers_are_back_afterwards() -> None:
    # The next SIGTERM killed it.
    heard = list[str]()

    async def test() -> None:
        loop = asyncio.get_running_loop()
        before = signal.getsignal(signal.SIGINT)
        loop.add_signal_handler(signal.SIGTERM, heard.append, "its own")
        with on_signals(lambda _n: heard.append("first"), lambda _n: heard.append("second")):
            for expected in ("first", "second"):
                os.kill(os.getpid(), signal.SIGTERM)
                while heard[-2:] != [expected, "its own"]:  # noqa: ASYNC110 - the loop hears of it in its next turns
                    await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGINT) is before
        os.kill(os.getpid(), signal.SIGTERM)
        while heard[-2:] != ["its own", "its own"]:  # noqa: ASYNC110
            await asyncio.sleep(0)
        loop.remove_signal_handler(signal.SIGTERM)

    asyncio.run(test())
    assert heard == ["first", "its own", "second", "its own", "its own"]


class Waits(Worker):
    """Inside a program of somebody else's."""

    input_topic = "in"
    started: asyncio.Event

    async def process(self, message: int) -> None:
        self.started.set()
        await asyncio.sleep(600)


def test_a_second_signal_cancels_our_tasks_and_not_those_of_the_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    broker = MemoryBroker({"in": 1})
    broker.put("in", b"1")

    async def test() -> bool:
        Waits.started = asyncio.Event()
        bystander = asyncio.create_task(asyncio.sleep(600))
        working = asyncio.create_task(run_workers([Waits], RunOptions(settings=Settings(), broker=broker)))
        await Waits.started.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        while "SIGTERM: stopping" not in caplog.text:  # noqa: ASYNC110 - the loop hears of it in its next turns
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([working])
        alive = not bystander.done()
        bystander.cancel()
        return alive

    assert asyncio.run(test())


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize(
    "address", ["127.0.0.1:abc", "", "127.0.0.1:99999", "kafka://127.0.0.1:9092", "a:1,b:"]
)
def test_an_address_that_is_none_is_one_line_at_once(tmp_path: Path, address: str, processes: str) -> None:
    arguments = ("kafka", "worker", "Beside", "--processes", processes)
    variables = {"KAFKA_BOOTSTRAP_SERVERS": address}
    done = core(*arguments, folder=project(tmp_path, "t"), env=variables)
    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("core: kafka_bootstrap_servers ")


def test_with_the_broker_gone_and_nothing_to_commit_ctrl_c_is_quick(tmp_path: Path) -> None:
    # It waited ten seconds to say that the partitions are given back, and spoke of a commit that is tried again.
    with running_broker() as (broker, address):
        asyncio.run(publish(address, "t", [(b"k", b"{}")]))
        variables = {"KAFKA_BOOTSTRAP_SERVERS": address}
        folder = project(tmp_path, "t")
        with running_core("kafka", "worker", "Beside", folder=folder, env=variables) as process:
            process.until(lambda: sum(o for o, _ in run(committed(address, "beside", "t")).values()) == 1)
            broker.kill()
            broker.wait()
            process.signal(signal.SIGINT)
            assert process.wait() == 0, process.output
    assert "tried again" not in process.output
    assert "delivered again" not in process.output
    assert "took longer" not in process.output
    assert "all that was finished is committed" in process.output


@contextmanager
def running_broker() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An embedded broker in a process of its own, which can be killed."""
    program = (
        "import time; from core_messaging.local_broker.embedded import EmbeddedBroker\n"
        "with EmbeddedBroker() as broker: print(broker.address, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_project_may_have_files_that_are_called_like_modules_of_python(
    tmp_path: Path, processes: str
) -> None:
    # Each process ended in a traceback: `python -m` put the folder before the standard library.
    (port,) = free_ports(1)
    folder = project(tmp_path, "t")
    for name in ("email", "logging", "token", "platform", "calendar", "statistics", "colorsys"):
        (folder / f"{name}.py").write_text("raise ImportError(__name__)\n")
    source = folder / "src/workers/some.py"
    source.write_text("import calendar, colorsys, statistics\n" + source.read_text())
    variables = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
    arguments = ("kafka", "worker", "Beside", "--processes", processes)
    with running_core(*arguments, folder=folder, env=variables) as process:
        process.until(lambda: process.output.count("waiting up to") == int(processes))
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output
    assert "Traceback" not in process.output
