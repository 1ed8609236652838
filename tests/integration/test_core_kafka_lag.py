"""``core kafka lag``: beside a worker, while it is stopped, and where its topic is missing."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core
from tests.integration.harness import publish, run

WORKERS = """
from core.messaging import worker

@worker(topic="{topic}", group_id="{topic}")
async def greet(message: dict) -> None:
    print("hello", message["n"], flush=True)

@worker(topic="nobody-made-{topic}", group_id="{topic}-2")
async def lost(message: dict) -> None: ...
"""


def project(folder: Path, topic: str) -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/greet.py").write_text(WORKERS.format(topic=topic))
    return folder


def rows(text: str) -> dict[str, dict[str, Any]]:
    return {row["worker"]: row for row in json.loads(text)}


def test_a_backlog_shows_while_its_worker_is_stopped_and_is_gone_after_it_ran(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, env = apache_broker.make_topic(4), {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address}
    folder = project(tmp_path, topic)
    run(publish(apache_broker.address, topic, [(b"%d" % n, b'{"n": %d}' % n) for n in range(40)]))
    look = ("kafka", "lag", "--all", "--json", "--interval", "0.2")
    found = core(*look, folder=folder, env=env)
    assert found.returncode == 0, found.stderr
    greet, lost = rows(found.stdout)["greet"], rows(found.stdout)["lost"]
    assert (greet["lag"], greet["useful_lag"], greet["committed"], greet["end"]) == (40, 40, None, 40)
    assert (greet["rate_in"], greet["rate_out"], greet["catch_up_seconds"]) == (0, 0, None)
    assert 0 <= greet["behind_seconds"] < 120
    assert lost["missing_topics"] == [f"nobody-made-{topic}"]
    with running_core("kafka", "worker", "greet", folder=folder, env=env) as running:
        running.until(lambda: sum(line.startswith("hello") for line in running.lines) == 40)
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    after = rows(core(*look, folder=folder, env=env).stdout)["greet"]
    assert (after["lag"], after["committed"], after["behind_seconds"], after["catch_up_seconds"]) == (
        0,
        40,
        0,
        0,
    )
    assert f"no topic nobody-made-{topic}" in core("kafka", "lag", "--all", folder=folder, env=env).stdout


def test_watching_shows_what_is_added_until_ctrl_c(broker: RunningBroker, tmp_path: Path) -> None:
    topic, env = broker.make_topic(), {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    run(publish(broker.address, topic, [(b"a", b'{"n": 1}')]))
    looking = ("kafka", "lag", "greet", "--watch", "--json", "--interval", "0.2")
    with running_core(*looking, folder=project(tmp_path, topic), env=env) as running:
        running.until_said('"lag": 1')
        run(publish(broker.address, topic, [(b"a", b'{"n": 2}')]))
        running.until_said('"lag": 2')
        looks = [json.loads(line)[0] for line in running.lines if line.startswith("[")]
        assert any(look["rate_in"] for look in looks)
        running.signal(signal.SIGINT)
        assert running.wait() == 130
    assert "Traceback" not in running.output


def test_what_can_be_mended_is_told_in_one_line(broker: RunningBroker, tmp_path: Path) -> None:
    folder = project(tmp_path, broker.make_topic())
    nobody = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_START_TIMEOUT": "0.2"}
    address = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    for name, env, told in (
        ("gret", address, "greet"),
        ("greet", nobody, "127.0.0.1:1"),
        ("greet", {"KAFKA_ENABLED": "false"}, "kafka_enabled"),
        ("greet", {**address, "KAFKA_BROKER": "acme"}, "kafka_broker is 'acme'"),
    ):
        done = core("kafka", "lag", name, folder=folder, env=env)
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert told in done.stderr.strip().splitlines()[-1]
    assert core("kafka", "lag", folder=folder, env=address).returncode == 2
