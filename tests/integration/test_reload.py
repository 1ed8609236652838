"""``core kafka worker --reload``: a change of a file restarts the worker, in order and in one process."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import CORE, Running, core, environment, running_core
from tests.integration.harness import publish, total_committed

WORKER = """
import asyncio, os
from core_messaging import worker

@worker(topic="{topic}", group_id="{topic}")
async def greet(message: dict) -> None:
    print("begun", message["name"])
    await asyncio.sleep(message.get("seconds", 0))
    print("{words}", message["name"], os.getpid())
"""


def written(folder: Path, topic: str, words: str) -> Path:
    file = folder / "src/workers/greet.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(WORKER.format(topic=topic, words=words))
    return folder


def send(broker: RunningBroker, topic: str, value: bytes) -> None:
    asyncio.run(publish(broker.address, topic, [value]))


def test_what_runs_is_finished_and_the_new_code_goes_on_in_the_same_process(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic(1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    folder = written(tmp_path, topic, "hello")
    with running_core("kafka", "worker", "greet", "--reload", folder=folder, env=env) as running:
        running.until_said(f"greet has {topic}[0]")
        send(broker, topic, b'{"name": "ada", "seconds": 1}')
        running.until_said("begun ada")
        written(tmp_path, topic, "good day")
        running.until_said("src/workers/greet.py changed: finishing what runs, then starting again")
        running.until_said(f"hello ada {running.process.pid}")
        send(broker, topic, b'{"name": "bob"}')
        running.until_said(f"good day bob {running.process.pid}")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    assert running.output.count("begun ada") == 1
    assert asyncio.run(total_committed(broker.address, topic)) == 2


@pytest.mark.parametrize("wrong", ["def broken(:\n", "import nothing_of_this_name\n", ""])
def test_a_mistake_in_a_file_does_not_end_it(wrong: str, broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    folder = written(tmp_path, topic, "hello")
    with running_core("kafka", "worker", "--all", "--reload", folder=folder, env=env) as running:
        running.until_said(f"greet has {topic}[0]")
        (folder / "src/workers/greet.py").write_text(wrong)
        running.until_said("waiting for a change of a file; Ctrl-C ends it")
        written(tmp_path, topic, "good day")
        running.until_said("src/workers/greet.py changed: starting again")
        send(broker, topic, b'{"name": "ada"}')
        running.until_said("good day ada")
        running.signal(signal.SIGINT)
        assert running.wait() == 0, running.output
    assert "Traceback" not in running.output


def test_ctrl_c_ends_the_wait_for_a_change(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def broken(:\n")
    with running_core("kafka", "worker", "broken.py", "--reload", folder=tmp_path) as running:
        running.until_said("waiting for a change")
        running.signal(signal.SIGINT)
        assert running.wait() == 130
    assert running.lines[0] == "core: broken.py: SyntaxError: invalid syntax (broken.py:1); correct the file"


def test_a_debugger_has_the_terminal(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    folder = written(tmp_path, topic, "hello")
    file = folder / "src/workers/greet.py"
    file.write_text(file.read_text().replace('    print("begun"', '    breakpoint()\n    print("begun"'))
    send(broker, topic, b'{"name": "ada"}')
    with subprocess.Popen(
        [CORE, "kafka", "worker", "greet", "--reload"],
        cwd=folder,
        env=environment(KAFKA_BOOTSTRAP_SERVERS=broker.address, PYTHONUNBUFFERED="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        running = Running(process)
        try:
            assert process.stdin is not None
            running.until_said("-> print(")
            time.sleep(2)  # longer than the event loop may be blocked without a line that says so
            process.stdin.write("p 'seen: ' + message['name']\nc\n")
            process.stdin.flush()
            running.until_said("hello ada")
            assert "seen: ada" in running.output
            assert "the event loop is blocked" not in running.output
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
        finally:
            process.kill()


def test_without_watchfiles_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ImportError('not here')\n")
    env = {"PYTHONPATH": str(tmp_path)}
    refused = core("kafka", "worker", "Greet", "--reload", folder=tmp_path, env=env)
    assert refused.returncode == 1
    assert refused.stderr.endswith("pip install 'core-messaging[reload]'\n")
    assert len(refused.stderr.splitlines()) == 1


def test_several_processes_are_not_reloaded(tmp_path: Path) -> None:
    refused = core("kafka", "worker", "Greet", "--reload", "--processes", "2", folder=tmp_path)
    assert (refused.returncode, "--reload is for one process" in refused.stderr) == (2, True)
    assert sys.executable not in refused.stderr
