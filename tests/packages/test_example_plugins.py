"""The example plugins: installed, listed, at work beside a real worker, and one that is broken on purpose."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from core_messaging.local_broker.embedded import EmbeddedBroker
from tests.environments import EXAMPLES, ROOT, Environment, layer, run
from tests.integration.commands import core, running_core
from tests.integration.harness import publish
from tests.integration.harness import run as run_async

GOOD = ("simple-metrics", "error-notifier", "drop-duplicates")

WORKER = """
from core_messaging import worker

@worker(topic="names")
async def greet(message: dict) -> None:
    print("hello", message["id"], flush=True)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = layer(tmp_path_factory.mktemp("plugins"))
    environment.install("--editable", str(ROOT))
    environment.install(*(EXAMPLES / name for name in (*GOOD, "broken-plugin")))
    return environment


@pytest.mark.parametrize("name", GOOD)
def test_the_packages_own_tests_pass(name: str, installed: Environment, tmp_path: Path) -> None:
    # pytest rewrites what has fixtures for it, and an editable install has a module that Python itself imports.
    editable = "ignore:Module already imported so cannot be rewritten; _editable_impl:pytest.PytestAssertRewriteWarning"
    command = [
        str(installed.python),
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-W",
        editable,
        "-p",
        "no:cacheprovider",
    ]
    assert "passed" in run(
        [*command, "--rootdir", str(tmp_path), str(EXAMPLES / name / "tests")], cwd=tmp_path
    )


def test_they_are_listed_and_the_broken_one_is_named_with_its_slip(
    installed: Environment, tmp_path: Path
) -> None:
    checked = core("plugins", "--json", "--check", folder=tmp_path, command=str(installed.core))
    assert checked.returncode == 1
    rows = {row["name"]: row for row in json.loads(checked.stdout)}
    assert {name: rows[name]["state"] for name in (*GOOD, "broken-plugin")} == {
        **dict.fromkeys(GOOD, "ok"),
        "broken-plugin": "broken",
    }
    assert rows["broken-plugin"]["from"] == "broken-plugin 0.3.0"
    assert "did you mean 'on_success'?" in rows["broken-plugin"]["cause"]


def test_a_worker_runs_with_the_good_ones_and_without_the_broken_one(
    installed: Environment, tmp_path: Path
) -> None:
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/greet.py").write_text(WORKER)
    with EmbeddedBroker() as broker:
        broker.create_topic("names")
        run_async(publish(broker.address, "names", [(b"k", b'{"id": 1}')] * 3 + [(b"k", b'{"id": 2}')]))
        env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "METRICS_INTERVAL": "0.2", "PYTHONUNBUFFERED": "1"}
        command = str(installed.core)
        with running_core("kafka", "worker", "greet", folder=tmp_path, env=env, command=command) as running:
            running.until_said("greet: 4 done, 0 dead-lettered")
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
    assert running.output.count("hello 1\n") == 1
    assert running.output.count("hello 2\n") == 1
    assert "plugin broken-plugin (broken-plugin 0.3.0) is broken" in running.output


FUSSY = """
from core_messaging import worker

@worker(topic="names", dlq_topic="names-dlq", max_retries=0)
async def greet(message: dict) -> None:
    raise ValueError("no such name")
"""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[Any]]]:
    """An address that takes JSON, and what was posted there."""
    notes: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notes.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the server's signature

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", notes
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_notifier_posts_what_failed_in_a_real_worker(
    installed: Environment, receiver: tuple[str, list[Any]], tmp_path: Path
) -> None:
    url, notes = receiver
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/greet.py").write_text(FUSSY)
    (tmp_path / "pyproject.toml").write_text(f'[tool.core.plugins.error-notifier]\nurl = "{url}"\n')
    with EmbeddedBroker() as broker:
        for topic in ("names", "names-dlq"):
            broker.create_topic(topic)
        run_async(publish(broker.address, "names", [(b"k", b'{"id": 1}')]))
        env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
        command = str(installed.core)
        with running_core("kafka", "worker", "greet", folder=tmp_path, env=env, command=command) as running:
            running.until(lambda: notes)
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
    (note,) = notes
    assert (note["worker"], note["error"]) == ("greet", "ValueError: no such name")
    assert note["message"].startswith("names[")


def test_a_notifier_with_a_wrong_address_is_one_line_before_anything_starts(
    installed: Environment, tmp_path: Path
) -> None:
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/greet.py").write_text(FUSSY)
    env = {"CORE_PLUGIN_ERROR_NOTIFIER_URL": "ftp://example.com"}
    refused = core("kafka", "worker", "greet", folder=tmp_path, env=env, command=str(installed.core))
    assert refused.returncode == 1
    # The plugin that is broken on purpose is told, too.
    (line,) = [line for line in refused.stderr.splitlines() if "error-notifier" in line]
    assert "CORE_PLUGIN_ERROR_NOTIFIER_" in line
    assert "Traceback" not in refused.stderr
