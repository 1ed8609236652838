"""The README's own files and commands, taken from its text and run as they stand."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

import pytest

from core_messaging.local_broker.embedded import EmbeddedBroker
from tests.environments import ROOT, Environment, layer
from tests.integration.commands import core, running_core
from tests.integration.harness import publish
from tests.integration.harness import run as run_async

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    _, _, rest = (ROOT / "README.md").read_text().partition(f"\n## {title}\n")
    assert rest, f"README.md has no section {title!r}"
    return rest.partition("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    return [text for found, text in _BLOCK.findall(section(title)) if found == language]


def commands(title: str) -> list[list[str]]:
    """The words of each ``core`` command, without the prompt, a comment or a trailing ``&``."""
    (console,) = blocks(title, "console")
    lines = [shlex.split(line.removeprefix("$ "), comments=True) for line in console.splitlines()]
    return [[word for word in line[1:] if word != "&"] for line in lines if line[0] == "core"]


@pytest.fixture
def shop(tmp_path: Path) -> Environment:
    """An environment with the package of the README, put together from its text."""
    package = tmp_path / "shop-workers"
    package.mkdir()
    (pyproject,) = blocks("A package in 30 lines", "toml")
    (source,) = blocks("A package in 30 lines", "python")
    (package / "pyproject.toml").write_text(pyproject)
    (package / "shop_workers.py").write_text(source)
    environment = layer(tmp_path / "environment")
    environment.install("--editable", str(ROOT))
    environment.install(package)
    return environment


def test_a_worker_in_20_lines(tmp_path: Path) -> None:
    source, _ = blocks("A worker in 20 lines", "python")
    path = tmp_path / "src" / "workers" / "email.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    up, publishing, working = commands("A worker in 20 lines")
    # Any free port instead of the default one, which somebody on this machine may use.
    with running_core(*up, "--port", "0", folder=tmp_path) as broker:
        broker.until(lambda: re.search(r"127\.0\.0\.1:\d+", broker.output))
        found = re.findall(r"127\.0\.0\.1:\d+", broker.output)
        here = {"KAFKA_BOOTSTRAP_SERVERS": found[-1], "PYTHONUNBUFFERED": "1"}
        published = core(*publishing, folder=tmp_path, env=here)
        assert published.returncode == 0, published.stderr
        with running_core(*working, folder=tmp_path, env=here) as worker:
            worker.until_said("sending to ada@example.com")
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0, worker.output
        broker.signal(signal.SIGINT)
        assert broker.wait() == 0


def test_a_package_in_30_lines(shop: Environment, tmp_path: Path) -> None:
    listing, working = commands("A package in 30 lines")
    listed = core(*listing, folder=tmp_path, command=str(shop.core))
    assert re.search(r"ShipOrders +shop-workers 1\.0 +orders", listed.stdout), listed.stdout + listed.stderr
    with EmbeddedBroker() as broker:
        for topic in ("orders", "orders-dlq"):
            broker.create_topic(topic)
        run_async(publish(broker.address, "orders", [b'{"id": 7, "address": "Harbour Road 1"}']))
        here = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "PYTHONUNBUFFERED": "1"}
        with running_core(*working, folder=tmp_path, env=here, command=str(shop.core)) as worker:
            worker.until_said("attempt 1 for order 7")
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0, worker.output
