"""The pages of the plugins ``health`` and ``prometheus``, asked over HTTP while a real worker runs."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from core_messaging_plugins.health import DEAD, NOT_READY, UNHEALTHY, page
from prometheus_client.parser import text_string_to_metric_families

from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from core_messaging.local_broker.ports import HOST, free_ports
from core_messaging.snapshot import Condition, Histogram, Snapshot, WorkerSnapshot
from tests.integration.brokers import RunningBroker, require_apache
from tests.integration.commands import PATIENCE, Running, core, running_core
from tests.integration.harness import publish, run

WORKER = """
import asyncio, pathlib
from core.messaging import Worker

class Greet(Worker):
    input_topic = "{topic}"
    group_id = "{topic}"
    dlq_topic = "{dlq}"
    max_retries = 0
    concurrency = 4

    async def process(self, message: dict) -> None:
        if message.get("fails"):
            raise ValueError("always")
        while message.get("waits") and not pathlib.Path("go on").exists():
            await asyncio.sleep(0.02)
        print("done", message["n"], flush=True)
"""


def project(folder: Path, topic: str, dlq: str) -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/greet.py").write_text(WORKER.format(topic=topic, dlq=dlq))
    return folder


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def health(port: int, path: str) -> tuple[int, dict[str, Any]]:
    status, body = ask(port, path)
    return status, json.loads(body)


def samples(port: int) -> dict[str, float]:
    """name -> value of everything about this worker, by Prometheus' own parser."""
    status, body = ask(port, "/metrics")
    assert status == 200
    return {
        sample.name + sample.labels.get("condition", "") + sample.labels.get("le", ""): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.labels.get("worker", "Greet") == "Greet"
    }


def ready(port: int, process: Running) -> None:
    def answers() -> bool:
        try:
            return ask(port, "/readyz")[0] == 200
        except OSError:
            return False

    process.until(answers)


def test_a_running_worker_tells_its_numbers_and_a_draining_one_that_it_is_draining(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    folder = project(tmp_path, topic, dlq)
    probes, metrics = free_ports(2)
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": broker.address,
        "CORE_PLUGIN_HEALTH_PORT": str(probes),
        "CORE_PLUGIN_PROMETHEUS_PORT": str(metrics),
        "METRICS_INTERVAL": "0.2",
    }
    facts = [{"n": n, "fails": n % 10 == 0} for n in range(50)] + [{"n": 50, "waits": True}]
    run(publish(broker.address, topic, [(b"%d" % f["n"], json.dumps(f).encode()) for f in facts]))
    with running_core("kafka", "worker", "Greet", folder=folder, env=env) as process:
        ready(probes, process)
        process.until(lambda: samples(metrics)["core_succeeded_total"] == 45)
        process.until(lambda: samples(metrics)["core_dead_lettered_total"] == 5)
        process.until(lambda: samples(metrics)["core_running"] == 1)
        told = samples(metrics)
        assert (told["core_fetched_total"], told["core_in_flight"], told["core_running"]) == (51, 1, 1)
        assert told["core_attempt_seconds_bucket+Inf"] == told["core_attempt_seconds_count"] == 50
        assert (told["core_conditionrunning"], told["core_conditionstuck"]) == (1, 0)
        assert told["core_oldest_unfinished_seconds"] > 0
        process.until(lambda: samples(metrics).get("core_lag", 0) >= 1)
        assert [health(probes, path)[0] for path in ("/livez", "/readyz", "/healthz")] == [200, 200, 200]
        process.signal(signal.SIGTERM)
        process.until(lambda: health(probes, "/readyz")[0] == 503)
        status, body = health(probes, "/livez")
        assert (status, body["status"]) == (200, "draining")
        assert body["workers"][0]["reason"] == "1 message is running"
        (folder / "go on").touch()
        assert process.wait() == 0, process.output
    assert process.output.count("Traceback") == 1  # of the five that failed, which are of one kind


def test_what_is_left_out_as_broken_shows_as_degraded(broker: RunningBroker, tmp_path: Path) -> None:
    folder = project(tmp_path, broker.make_topic(), broker.make_topic())
    (folder / "src/workers/broken.py").write_text("import a_module_that_is_not_there\n")
    (port,) = free_ports(1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "CORE_PLUGIN_HEALTH_PORT": str(port)}
    with running_core("kafka", "worker", "--all", "--skip-broken", folder=folder, env=env) as process:
        ready(port, process)
        status, body = health(port, "/healthz")
        assert (status, body["status"]) == (503, "degraded")
        assert "a_module_that_is_not_there" in body["degraded"][0]
        assert health(port, "/livez")[0] == 200
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_broker_that_is_gone_shows_as_degraded_and_is_no_reason_for_a_restart(tmp_path: Path) -> None:
    require_apache()
    options = ApacheOptions(folder=tmp_path / "kafka", properties={"broker.session.timeout.ms": "2000"})
    with ApacheCluster(options) as cluster:
        broker = RunningBroker(cluster.address, "apache")
        folder = project(tmp_path, broker.make_topic(), broker.make_topic())
        (port,) = free_ports(1)
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "CORE_PLUGIN_HEALTH_PORT": str(port),
            "METRICS_INTERVAL": "0.3",
        }
        with running_core("kafka", "worker", "Greet", folder=folder, env=env) as process:
            ready(port, process)
            (node,) = cluster.nodes
            node.kill()
            process.until(lambda: health(port, "/healthz")[1]["status"] == "degraded")
            status, body = health(port, "/healthz")
            assert (status, health(port, "/livez")[0], health(port, "/readyz")[0]) == (503, 200, 200)
            assert "the broker has not answered for" in body["workers"][0]["reason"]
            node.start()
            node.wait_until_ready()
            process.until(lambda: health(port, "/healthz")[1]["status"] == "running")
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
        cluster.kill()


@pytest.mark.parametrize("plugin", ["health", "prometheus"])
def test_a_port_in_use_is_one_line_and_stops_the_start(
    plugin: str, broker: RunningBroker, tmp_path: Path
) -> None:
    folder = project(tmp_path, broker.make_topic(), broker.make_topic())
    with socket.create_server((HOST, 0)) as taken:
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            f"CORE_PLUGIN_{plugin.upper()}_PORT": str(taken.getsockname()[1]),
        }
        done = core("kafka", "worker", "Greet", folder=folder, env=env)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("core: ")]
    assert f"plugin {plugin} cannot listen" in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("apart", "processes"), [(1, 2), (0, 1), (2, 3)])
def test_plugins_that_would_share_a_port_are_refused_in_one_line_before_anything_starts(
    apart: int, processes: int, tmp_path: Path
) -> None:
    # The second process died of it five times, and took the first one with it.
    folder = project(tmp_path, "tasks", "tasks-dlq")
    env = {
        "CORE_PLUGIN_HEALTH_PORT": "28080",
        "CORE_PLUGIN_PROMETHEUS_PORT": str(28080 + apart),
        "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:9",
    }
    done = core("kafka", "worker", "Greet", "--processes", str(processes), folder=folder, env=env)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("core: plugins health and prometheus would ")
    assert str(28080 + apart) in line


def test_what_is_no_probe_is_refused_and_hurts_nobody(broker: RunningBroker, tmp_path: Path) -> None:
    folder = project(tmp_path, broker.make_topic(), broker.make_topic())
    (port,) = free_ports(1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "CORE_PLUGIN_HEALTH_PORT": str(port)}
    with running_core("kafka", "worker", "Greet", folder=folder, env=env) as process:
        ready(port, process)
        for request, told in (
            (b"POST /livez HTTP/1.1\r\n\r\n", b"405"),
            (b"\xff\xfe\r\n\r\n", b"405"),
            (b"GET /\r\n\r\n", b"404"),
        ):
            with socket.create_connection((HOST, port)) as client:
                client.sendall(request)
                assert told in client.recv(100)
        with socket.create_connection((HOST, port)) as client:
            client.sendall(b"x" * 100_000)  # a request that never ends
        assert ask(port, "/livez")[0] == 200
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "Traceback" not in process.output


def worker(condition: Condition) -> WorkerSnapshot:
    return WorkerSnapshot("w", "g", condition, "", {}, 0, 0, Histogram((), (0,), 0.0), {})


@pytest.mark.parametrize(
    ("condition", "livez", "readyz", "healthz"),
    [
        (Condition.STARTING, 200, 503, 200),
        (Condition.RUNNING, 200, 200, 200),
        (Condition.REBALANCING, 200, 200, 200),
        (Condition.DRAINING, 200, 503, 200),
        (Condition.DEGRADED, 200, 200, 503),
        (Condition.BLOCKED, 200, 200, 503),
        (Condition.STUCK, 503, 503, 503),
    ],
)
def test_each_condition_means_something_else_to_each_page(
    condition: Condition, livez: int, readyz: int, healthz: int
) -> None:
    # One page for everything makes a rebalance look like a crash, and a crash loop out of a full retry queue.
    snapshot = Snapshot(0.0, (worker(Condition.RUNNING), worker(condition)))
    answers = [page(snapshot, refused) for refused in (DEAD, NOT_READY, UNHEALTHY)]
    assert [answer.status for answer in answers] == [livez, readyz, healthz]
    assert json.loads(answers[0].body)["status"] == condition.value
