"""One pip-installed package that registers a broker, a codec and a command; another one that is broken."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.environments import ROOT, Environment, layer
from tests.integration.commands import core, running_core

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "2.1"

[project.entry-points."core.plugins"]
{name} = "{module}"

[project.entry-points."core.commands"]
{command} = "{module}"
"""

GOOD = """
from core_messaging import Codec, hookimpl
from core_messaging.testing import MemoryBroker

class Roman:
    def __init__(self, digits):
        self.value = sum(dict(I=1, V=5)[digit] for digit in digits)

def read(data, annotation):
    return annotation(data.decode())

def shelf(settings):
    broker = MemoryBroker({"numbers": 1, "sums": 1, "numbers-dlq": 1})
    for value in (b"VI", b"no number", b"III"):
        broker.put("numbers", value)
    return broker

@hookimpl
def register_brokers():
    return {"shelf": shelf}

@hookimpl
def register_codecs():
    return {"roman": Codec(read, lambda number: b"I" * number)}

@hookimpl
def register_commands():
    import click

    @click.command()
    @click.argument("digits")
    def roman(digits):
        if digits == "M":
            click.get_current_context().exit(3)
        click.echo(Roman(digits).value)

    return {"roman": roman}
"""

WORKER = """
from core_messaging import Worker
from roman_shelf import Roman

class Sum(Worker):
    input_topic = "numbers"
    output_topic = "sums"
    dlq_topic = "numbers-dlq"
    codec = "roman"

    async def process(self, message: Roman) -> int:
        print("GOT", message.value, flush=True)
        return message.value

    async def on_success(self, message: Roman, result: int) -> None:
        print("PUBLISHED", result, flush=True)
"""

SHELF = {"KAFKA_BROKER": "shelf", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("sources")
    environment = layer(tmp_path_factory.mktemp("registering"))
    packages = [
        package(folder, "roman-shelf", "roman", GOOD),
        package(folder, "broken-shelf", "kafka", "import a_package_that_is_not_installed"),
    ]
    environment.install("--editable", str(ROOT))
    environment.install(*packages)
    return environment


def package(folder: Path, name: str, command: str, source: str) -> Path:
    module = name.replace("-", "_")
    (folder / name / module).mkdir(parents=True)
    (folder / name / "pyproject.toml").write_text(PYPROJECT.format(name=name, module=module, command=command))
    (folder / name / module / "__init__.py").write_text(source)
    return folder / name


def test_a_worker_runs_on_a_broker_and_a_codec_of_a_plugin(installed: Environment, tmp_path: Path) -> None:
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/sum.py").write_text(WORKER)
    command = str(installed.core)
    with running_core("kafka", "worker", "Sum", folder=tmp_path, env=SHELF, command=command) as running:
        running.until_said("PUBLISHED 3")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    assert [line for line in running.lines if line.startswith(("GOT", "PUBLISHED"))] == [
        "GOT 6",
        "PUBLISHED 6",
        "GOT 3",
        "PUBLISHED 3",
    ]
    assert "dead-lettered numbers[0]@1" in running.output
    assert "Undecodable: the codec raised KeyError" in running.output
    assert "plugin broken-shelf (broken-shelf 2.1) is broken" in running.output


def test_a_command_of_a_plugin_is_listed_and_runs(installed: Environment, tmp_path: Path) -> None:
    command = str(installed.core)
    listed = " ".join(core("--help", folder=tmp_path, command=command).stdout.split())
    assert "roman From roman-shelf 2.1." in listed
    assert "kafka Not offered: broken-shelf 2.1 would hide the command that is built in." in listed
    ran = core("roman", "VII", folder=tmp_path, command=command)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "7\n", "")
    assert core("roman", "M", folder=tmp_path, command=command).returncode == 3


def test_a_broker_nobody_registers_is_one_line(installed: Environment, tmp_path: Path) -> None:
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/sum.py").write_text(WORKER)
    env = {**SHELF, "KAFKA_BROKER": "shelve"}
    refused = core("kafka", "worker", "Sum", folder=tmp_path, env=env, command=str(installed.core))
    assert refused.returncode == 1
    assert "core: there is no broker 'shelve': did you mean 'shelf'?; broken: broken-shelf" in refused.stderr
    assert "Traceback" not in refused.stderr
