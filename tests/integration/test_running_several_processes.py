"""``core kafka worker NAME --processes N``: real processes, killed and stopped in every way."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chaos.ledger import Ledger, messages, project
from core_messaging.errors import PortInUse
from core_messaging.local_broker.ports import free_ports, require_free
from core_messaging.runtime.restart_policy import TRIES
from tests.integration.brokers import RunningBroker
from tests.integration.commands import PATIENCE, Running, core, running_core
from tests.integration.harness import publish, run, total_committed

pytestmark = pytest.mark.timeout(300)

TWO = ("kafka", "worker", "Ledger", "--processes", "2")


def env(broker: RunningBroker, **others: str) -> dict[str, str]:
    """No test waits for the end of a session. On the embedded broker, who joins does."""
    session = {"apache": "45", "embedded": "6"}[broker.engine]
    return {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "KAFKA_SESSION_TIMEOUT": session, **others}


def set_up(broker: RunningBroker, folder: Path) -> tuple[str, Ledger]:
    topic, dlq = broker.make_topic(), broker.make_topic()
    project(folder, topic, dlq)
    return topic, Ledger(folder)


def both_have_partitions(process: Running, topic: str) -> None:
    shares = re.compile(rf"\[(\d)\] Ledger has {topic}\[\d\], {topic}\[\d\]$", re.MULTILINE)
    process.until(lambda: set(shares.findall(process.output)) == {"1", "2"})


def workers_of(ledger: Ledger) -> set[int]:
    return {entry.pid for entry in ledger.entries()}


def is_gone(pid: int) -> bool:
    """It has ended; whoever inherited it may not have asked for its exit code yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        return True
    return state.startswith("Z")


def test_the_work_is_shared_and_a_signal_ends_all_in_order(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = apache_broker
    topic, ledger = set_up(broker, tmp_path)
    with running_core(*TWO, folder=tmp_path, env=env(broker)) as process:
        both_have_partitions(process, topic)
        run(publish(broker.address, topic, messages(400, keys=40, seconds=0.002)))
        process.until(lambda: len(ledger.finished()) == 400)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output
    assert len(workers_of(ledger)) == 2
    assert process.process.pid not in workers_of(ledger)
    assert (ledger.repeats(), ledger.out_of_order()) == ([], [])
    assert asyncio.run(total_committed(broker.address, topic)) == 400
    assert "SIGTERM: passed on to 2 processes" in process.output


def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = apache_broker
    topic, ledger = set_up(broker, tmp_path)
    variables = env(broker, KAFKA_GROUP_INSTANCE_ID="box")
    with running_core(*TWO, folder=tmp_path, env=variables) as process:
        both_have_partitions(process, topic)
        records = messages(1_000, keys=40, seconds=0.005)
        run(publish(broker.address, topic, records[:600]))
        process.until(lambda: len(workers_of(ledger)) == 2 and len(ledger.finished()) > 200)
        os.kill(min(workers_of(ledger)), signal.SIGKILL)
        process.until_said("ended with exit code 137 (SIGKILL)")
        # Only now the rest: the other one alone may be through with everything before a new one has begun.
        process.until(lambda: "Ledger has" in process.output.split("ended with exit code 137")[1])
        run(publish(broker.address, topic, records[600:]))
        process.until(lambda: len(ledger.finished()) == 1_000)
        process.until(lambda: asyncio.run(total_committed(broker.address, topic)) == 1_000)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output
    assert len(workers_of(ledger)) == 3
    assert ledger.out_of_order() == []


def test_the_partitions_of_a_process_that_is_killed_do_not_wait_for_its_session(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = apache_broker
    topic, ledger = set_up(broker, tmp_path)
    with running_core(*TWO, folder=tmp_path, env=env(broker, KAFKA_SESSION_TIMEOUT="300")) as process:
        both_have_partitions(process, topic)
        run(publish(broker.address, topic, messages(40, keys=40, seconds=0.001)))
        process.until(lambda: len(workers_of(ledger)) == 2 and len(ledger.finished()) == 40)
        os.kill(min(workers_of(ledger)), signal.SIGKILL)
        process.until_said("has died on this machine; its partitions go to others now")
        run(publish(broker.address, topic, messages(80, keys=40, seconds=0.001)))
        process.until(lambda: len(ledger.finished()) == 80)  # no wait is as long as the session
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output


def test_auto_is_an_identity_of_its_own_for_each_process(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, _ = set_up(apache_broker, tmp_path)
    variables = env(apache_broker, KAFKA_GROUP_INSTANCE_ID="auto")
    with running_core(*TWO, folder=tmp_path, env=variables) as process:
        both_have_partitions(process, topic)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output
    assert "with the same kafka_group_instance_id" not in process.output


def test_a_second_signal_ends_all_at_once(apache_broker: RunningBroker, tmp_path: Path) -> None:
    broker = apache_broker
    topic, ledger = set_up(broker, tmp_path)
    with running_core(*TWO, folder=tmp_path, env=env(broker)) as process:
        both_have_partitions(process, topic)
        run(publish(broker.address, topic, messages(40, keys=40, seconds=3_000)))
        process.until(lambda: len(workers_of(ledger)) == 2)
        process.signal(signal.SIGINT)
        process.until(lambda: process.output.count("Again to leave at once") == 2)
        process.signal(signal.SIGINT)
        assert process.wait() == 128 + signal.SIGINT
    assert all(map(is_gone, workers_of(ledger)))


def test_nothing_is_left_when_the_supervisor_itself_is_killed(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = apache_broker
    topic, ledger = set_up(broker, tmp_path)
    with running_core(*TWO, folder=tmp_path, env=env(broker)) as process:
        both_have_partitions(process, topic)
        run(publish(broker.address, topic, messages(200, keys=40, seconds=0.001)))
        process.until(lambda: len(ledger.finished()) == 200)
        process.process.kill()
        process.process.wait()
        # They hold the other end of its output, and end it with their own.
        process._reader.join(PATIENCE)
    assert all(map(is_gone, workers_of(ledger)))
    assert process.output.count("SIGTERM: stopping") == 2
    assert asyncio.run(total_committed(broker.address, topic)) == 200


def test_what_can_never_start_is_given_up_with_one_exit_code(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = apache_broker
    set_up(broker, tmp_path)
    (tmp_path / "src/workers/ledger.py").write_text(
        "import os\nfrom core.messaging import Worker\n\nclass Ledger(Worker):\n"
        f'    input_topic = "{broker.make_topic()}"\n'
        "    async def setup(self): os._exit(7)\n    async def process(self, message: dict) -> None: ...\n"
    )
    with running_core(*TWO, folder=tmp_path, env=env(broker)) as process:
        assert process.wait() == 7
    assert "stopping all" in process.output
    assert process.output.count("It is started again in") >= TRIES - 1
    assert "Traceback" not in process.output


def test_what_the_user_can_mend_is_told_once_and_options_reach_every_process(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = apache_broker
    topic, _ = set_up(broker, tmp_path)
    wrong = core("kafka", "worker", "Nobody", "--processes", "3", folder=tmp_path, env=env(broker))
    assert wrong.returncode == 1
    assert len(wrong.stderr.strip().splitlines()) == 1
    off = core(*TWO, folder=tmp_path, env=env(broker, KAFKA_ENABLED="false"))
    assert (off.returncode, len(off.stderr.strip().splitlines())) == (1, 1)
    options = ("--log-format", "json", "--concurrency", "3", "--disable-plugin", "health", "--trace-plugins")
    variables = env(broker, KAFKA_AUTO_OFFSET_RESET="earliest")
    with running_core(*TWO, *options, folder=tmp_path, env=variables) as process:
        process.until(lambda: {line.get("place") for line in parsed(process)} >= {1, 2})
        process.until(lambda: sum(topic in line["message"] for line in parsed(process)) >= 2)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output


def two_neighbours() -> int:
    """A free port after which another one is free."""
    for port in free_ports(50):
        with suppress(PortInUse):
            require_free(port + 1)
            return port
    raise AssertionError("no two free ports in a row")


def parsed(process: Running) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.lines]


def test_probes_of_each_process_have_a_port_of_their_own(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    broker = apache_broker
    topic, _ = set_up(broker, tmp_path)
    port = two_neighbours()
    (tmp_path / "pyproject.toml").write_text(f"[tool.core.plugins.health]\nport = {port}\n")
    with running_core(*TWO, folder=tmp_path, env=env(broker)) as process:
        both_have_partitions(process, topic)
        process.until_said(f"[1] health at http://127.0.0.1:{port}/healthz")
        process.until_said(f"[2] health at http://127.0.0.1:{port + 1}/healthz")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.output


def test_at_the_embedded_broker_a_second_process_is_refused_and_told_once(
    embedded_broker: RunningBroker, tmp_path: Path
) -> None:
    set_up(embedded_broker, tmp_path)
    ended = core(*TWO, folder=tmp_path, env=env(embedded_broker))
    assert ended.returncode == 1
    assert ended.stderr.count("has a member already, and the embedded broker") == 1
    assert "has stopped for good" in ended.stderr
