"""Errors, keys and module texts from outside in what ``core`` prints: no forged lines, no escape sequences, no floods."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core
from tests.integration.harness import publish, run

WORKER = """
from core.messaging import Worker

HOSTILE = "boom\\n2030-01-01 00:00:00,000 INFO    core: all is well\\x1b[2J\\x00" + "x" * 3_000_000

class Mailer(Worker):
    input_topic = "{topic}"
    group_id = "{topic}"
    initial_delay = 600
    async def process(self, message: dict) -> None:
        if message["n"]:
            raise ValueError(HOSTILE)
        print("handled", flush=True)
"""


def project(folder: Path, topic: str) -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/mail.py").write_text(WORKER.format(topic=topic))
    return folder


def require_harmless(shown: str, longest: int) -> None:
    assert "all is well" in shown
    assert not [line for line in shown.splitlines() if line.startswith("2030-")]
    assert "\x1b" not in shown
    assert "\x00" not in shown
    assert len(shown) < longest


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_error_of_a_handler_forges_no_line_of_the_log(
    broker: RunningBroker, tmp_path: Path, log_format: str
) -> None:
    topic = broker.make_topic(1)
    folder = project(tmp_path, topic)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    run(publish(broker.address, topic, [(b"k", b'{"n": 1}')]))
    with running_core(
        "kafka", "worker", "Mailer", "--log-format", log_format, folder=folder, env=env
    ) as worker:
        worker.until_said("all is well")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    if log_format == "text":
        require_harmless(worker.output, 30_000)
        return
    lines = [json.loads(line) for line in worker.lines]
    assert any("all is well\x1b[2J\x00" in line["message"] for line in lines)
    assert len(worker.output) < 30_000


def test_the_key_of_a_message_forges_no_row_of_the_offsets(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic(1)
    folder = project(tmp_path, topic)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "COMMIT_INTERVAL": "0.1"}
    key = b"a\n2030-01-01 all is well\x1b]0;owned\x07\x00" + b"k" * 900_000
    run(publish(broker.address, topic, [(key, b'{"n": 1}'), (b"b", b'{"n": 0}')]))
    with running_core("kafka", "worker", "Mailer", folder=folder, env=env) as worker:
        worker.until_said("handled")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    found = core("kafka", "offsets", "Mailer", folder=folder, env=env)
    assert found.returncode == 0, found.stderr
    require_harmless(found.stdout, 20_000)
    facts = json.loads(core("kafka", "offsets", "Mailer", "--json", folder=folder, env=env).stdout)
    assert facts[0]["unfinished"][0]["key"] == key.decode()


def test_the_text_of_an_import_error_is_one_short_line_of_the_listing(tmp_path: Path) -> None:
    (tmp_path / "src/workers").mkdir(parents=True)
    source = "raise ImportError('a\\n2030-01-01 all is well\\x1b[2J\\0' + 'x' * 900_000)"
    (tmp_path / "src/workers/bad.py").write_text(source)
    require_harmless(core("kafka", "workers", folder=tmp_path).stdout, 20_000)
    refused = core("kafka", "worker", "--all", folder=tmp_path)
    assert refused.returncode == 1
    require_harmless(refused.stderr, 20_000)
    assert len(refused.stderr.splitlines()) == 1
    skipped = core("kafka", "worker", "--all", "--skip-broken", folder=tmp_path)
    require_harmless(skipped.stderr, 30_000)
