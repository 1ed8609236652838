"""``core kafka worker`` as a user meets it: processes, signals, exit codes and what is printed."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import CORE, core, environment, running_core
from tests.integration.harness import committed, publish, total_committed

WORKER = """
import asyncio
from pathlib import Path
from uuid import uuid4
from core.messaging import Worker

class Slow(Worker):
    input_topic = "{topic}"
    group_id = "{topic}"
    concurrency = 4

    async def process(self, message: dict) -> None:
        with open("loop", "a") as file:
            print(type(asyncio.get_running_loop()).__qualname__.lstrip("_Unix"), file=file)
        with open("started", "a") as file:
            print(message["id"], file=file)
        await asyncio.sleep(message["seconds"])
        while message.get("waits") and not Path("go on").exists():
            await asyncio.sleep(0.02)
        with open("finished", "a") as file:
            print(message["id"], file=file)
"""


def project(folder: Path, topic: str, source: str = WORKER) -> Path:
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/slow.py").write_text(source.format(topic=topic))
    return folder


def said(folder: Path, name: str) -> list[str]:
    file = folder / name
    return file.read_text().split() if file.exists() else []


def send(broker: RunningBroker, topic: str, *seconds: float) -> None:
    records = [(str(n).encode(), json.dumps({"id": n, "seconds": s}).encode()) for n, s in enumerate(seconds)]
    asyncio.run(publish(broker.address, topic, records))


def test_the_first_line_names_the_broker_and_the_group(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    with running_core("kafka", "worker", "Slow", folder=project(tmp_path, topic), env=env) as running:
        running.until_said(f"Slow has {topic}[0]")
        assert f"Slow: broker {broker.address}, joining group {topic}" in running.lines[0]
        assert running.output.count("joining group") == 1


def test_a_broker_that_does_not_answer_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        env = {"KAFKA_BOOTSTRAP_SERVERS": address}
        with running_core("kafka", "worker", "Slow", folder=project(tmp_path, "t"), env=env) as running:
            running.until_said(f"no Kafka broker answers at {address} yet (no answer within 2 s)")
            assert "joining group" not in running.output


WAITS = (b"false", b"false", b"true")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("absent", [None, "uvloop"])
def test_a_first_signal_finishes_what_runs_commits_and_exits_0(
    broker: RunningBroker, tmp_path: Path, number: signal.Signals, absent: str | None
) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic)
    (folder / "sitecustomize.py").write_text(f"import sys; sys.modules[{absent!r}] = None")
    records = [(b"%d" % n, b'{"id": %d, "seconds": 0, "waits": %s}' % (n, w)) for n, w in enumerate(WAITS)]
    asyncio.run(publish(broker.address, topic, records))
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "PYTHONPATH": str(folder)}
    with running_core("kafka", "worker", "Slow", folder=folder, env=env) as run:
        run.until(lambda: (len(said(folder, "started")), len(said(folder, "finished"))) == (3, 2))
        run.signal(number)
        # It says what it waits for, and in the end what is done and what is left.
        run.until_said(f"{number.name}: stopping, waiting up to 25 s for 1 running: Slow on {topic}[")
        (folder / "go on").touch()
        assert run.wait() == 0
    assert sorted(said(folder, "finished")) == ["0", "1", "2"]
    assert asyncio.run(total_committed(broker.address, topic)) == 3
    assert said(folder, "loop") == ["SelectorEventLoop" if absent else "Loop"] * 3
    assert run.lines[-1].endswith("Slow: stopped; 3 messages finished since the start; none given back")


def test_the_last_line_says_how_many_messages_are_dead_lettered_and_given_back(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    folder = project(tmp_path, topic)
    source = folder / "src/workers/slow.py"
    source.write_text(source.read_text().replace("concurrency = 4", f"concurrency = 1; dlq_topic = '{dlq}'"))
    waiting = (b"a", b'{"id": 1, "seconds": 0, "waits": true}')
    asyncio.run(publish(broker.address, topic, [(b"a", b"not json"), *[waiting] * 3]))
    with running_core(
        "kafka", "worker", "Slow", folder=folder, env={"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    ) as run:
        run.until(lambda: said(folder, "started"))
        run.signal(signal.SIGINT)
        run.until_said("SIGINT: stopping")
        (folder / "go on").touch()
        assert run.wait() == 0
    assert run.lines[-1].endswith(
        "Slow: stopped; 2 messages finished since the start, 1 of them dead-lettered; 2 given back, to be delivered again"
    )


def test_a_second_ctrl_c_leaves_at_once_and_what_ran_is_delivered_again(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic)
    send(broker, topic, 60)
    with running_core(
        "kafka", "worker", "Slow", folder=folder, env={"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    ) as run:
        run.until(lambda: said(folder, "started"))
        run.signal(signal.SIGINT)
        run.until_said("stopping")
        run.signal(signal.SIGINT)
        assert run.wait() == 130
    assert "will be delivered again" in run.output
    assert all(offset == 0 for offset, _ in asyncio.run(committed(broker.address, topic)).values())


def test_work_that_outlasts_the_shutdown_timeout_is_named_and_not_committed(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic)
    send(broker, topic, 60)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "SHUTDOWN_TIMEOUT": "0.5"}
    with running_core("kafka", "worker", "Slow", folder=folder, env=env) as run:
        run.until(lambda: said(folder, "started"))
        run.signal(signal.SIGTERM)
        assert run.wait() == 1
    assert f"core: still running after shutdown_timeout = 0.5 s: Slow on {topic}[" in run.output
    assert "Traceback" not in run.output
    assert said(folder, "finished") == []
    assert all(offset == 0 for offset, _ in asyncio.run(committed(broker.address, topic)).values())


STUBBORN = """
import asyncio, time
from core.messaging import Worker

class Slow(Worker):
    input_topic = "{topic}"
    group_id = "{topic}"

    async def process(self, message: dict) -> None:
        open("started", "a").write("x")
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
"""


@pytest.mark.parametrize(
    "source",
    [STUBBORN, STUBBORN.replace("async def process", "def process").replace("await asyncio", "time")],
)
def test_a_handler_that_cannot_be_ended_does_not_keep_the_process(
    broker: RunningBroker, tmp_path: Path, source: str
) -> None:
    # It swallows its cancellation, or hangs in a thread that nobody can stop.
    topic = broker.make_topic()
    folder = project(tmp_path, topic, source)
    send(broker, topic, 0)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "SHUTDOWN_TIMEOUT": "0.5"}
    with running_core("kafka", "worker", "Slow", folder=folder, env=env) as run:
        run.until(lambda: said(folder, "started"))
        run.signal(signal.SIGTERM)
        assert run.wait() == 1
    assert f": Slow on {topic}[" in run.output


def test_concurrency_of_the_command_line_wins(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic)
    send(broker, topic, *([30.0] * 8))
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address, "SHUTDOWN_TIMEOUT": "0.1"}
    with running_core("kafka", "worker", "Slow", "--concurrency", "8", folder=folder, env=env) as run:
        run.until(lambda: len(said(folder, "started")) == 8)


def test_a_topic_that_does_not_exist_is_one_line_and_create_topics_makes_it(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic = f"missing-{uuid4().hex}"
    folder = project(tmp_path, topic)
    env = {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address}
    refused = core("kafka", "worker", "Slow", folder=folder, env=env)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(
        f"core: topics that do not exist at {apache_broker.address}: {topic};"
    )
    assert "--create-topics" in refused.stderr
    assert "Traceback" not in refused.stderr
    with running_core("kafka", "worker", "Slow", "--create-topics", folder=folder, env=env) as run:
        run.until_said(f"created topics {topic}")
        run.until_said(f"Slow has {topic}[0]")
        run.signal(signal.SIGTERM)
        assert run.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["Nope"], 1, "core: no worker is named 'Nope' (searched: src/workers/slow.py"),
        (["Slo"], 1, "did you mean Slow?"),
        ([], 2, "give the NAME of one or more workers, or --all"),
        (["Slow", "--all"], 2, "core: give Slow or --all, not both: --all means every worker"),
        (["Slow", "--skip-broken"], 2, "--skip-broken goes with --all"),
        (["Slow", "--concurrency", "0"], 2, "0 is not in the range"),
        (["Slow", "--concurency", "4"], 2, "No such option"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    found = core("kafka", "worker", *arguments, folder=project(tmp_path, "t"))
    assert found.returncode == code
    assert says in found.stderr
    assert "Traceback" not in found.stderr


def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_START_TIMEOUT": "1"}
    found = core("kafka", "worker", "Slow", folder=project(tmp_path, "t"), env=env)
    assert found.returncode == 1
    first, last = found.stderr.splitlines()
    assert "waiting up to 1 s" in first
    assert last.startswith("core: no Kafka broker answers at 127.0.0.1:1 (")
    assert "KAFKA_BOOTSTRAP_SERVERS" in last


def test_kafka_enabled_false_refuses_with_one_line_that_names_the_setting(tmp_path: Path) -> None:
    found = core("kafka", "worker", "Slow", folder=project(tmp_path, "t"), env={"KAFKA_ENABLED": "false"})
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith("core: running workers needs Kafka, but the setting kafka_enabled is False")


def test_skip_broken_runs_the_healthy_ones_and_reports_the_others(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic)
    (folder / "src/workers/bad.py").write_text("import no_such_module")
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    refused = core("kafka", "worker", "--all", folder=folder, env=env)
    assert refused.returncode == 1
    assert "bad (src/workers/bad.py): ModuleNotFoundError: No module named 'no_such_module'" in refused.stderr
    with running_core("kafka", "worker", "--all", "--skip-broken", folder=folder, env=env) as run:
        run.until_said("not run: bad (src/workers/bad.py)")
        run.until_said("Slow has")
        run.signal(signal.SIGTERM)
        assert run.wait() == 0


def test_json_logs_are_one_object_a_line_with_where_it_happened(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic, WORKER.replace("await asyncio.sleep", "raise ValueError"))
    send(broker, topic, 1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    with running_core("kafka", "worker", "Slow", "--log-format", "json", folder=folder, env=env) as run:
        run.until(lambda: any('"retry"' in line for line in run.lines))
        run.signal(signal.SIGTERM)
        assert run.wait() == 0
    lines = [json.loads(line) for line in run.lines]
    retry = next(line for line in lines if line.get("action") == "retry")
    # The first of its kind, so it is an error and has its traceback.
    assert (retry["worker"], retry["topic"], retry["offset"], retry["level"]) == ("Slow", topic, 0, "error")
    assert "in process" in retry["traceback"]
    assert "ValueError: 1" in retry["traceback"]


def test_why_it_ended_is_an_object_too_where_the_log_is_one_of_objects(tmp_path: Path) -> None:
    # The most important line of all was the one that no log pipeline could read.
    folder = project(tmp_path, "t")
    env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_START_TIMEOUT": "1"}
    for name, says in (
        ("Slow", "no Kafka broker answers"),
        ("Nope", "Nope"),
        ("--all", "bad (src/workers/bad.py)"),
    ):
        if name == "--all":
            (folder / "src/workers/bad.py").write_text("import no_such_module")
        found = core("kafka", "worker", name, "--log-format", "json", folder=folder, env=env)
        assert found.returncode == 1
        last = json.loads(found.stderr.splitlines()[-1])
        assert (last["level"], last["action"]) == ("error", "ended")
        assert says in last["message"]


def test_no_log_line_a_message_at_info(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    folder = project(tmp_path, topic)
    send(broker, topic, *([0.0] * 200))
    env = {"KAFKA_BOOTSTRAP_SERVERS": broker.address}
    with running_core("kafka", "worker", "Slow", folder=folder, env=env) as run:
        run.until(lambda: len(said(folder, "finished")) == 200)
        run.signal(signal.SIGTERM)
        assert run.wait() == 0
    assert len(run.lines) < 50, run.output


def test_help_is_light() -> None:
    """It imports neither aiokafka nor pydantic, and costs less than 0.2 s of CPU more than an empty Python."""
    probe = (
        "import sys, resource\n"
        "sys.argv = ['core', '--help']\n"
        "from core_messaging_cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'aiokafka', 'pydantic', 'rich', 'confluent_kafka', 'pluggy'} & set(sys.modules)))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)\n"
    )
    empty = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)"
    costs = list[float]()
    while (
        len(costs) < 20 and min(costs, default=1.0) >= 0.2
    ):  # others use the processor too: the best of some
        *_, modules, seconds = _output(probe).splitlines()
        assert modules == "[]"
        costs.append(float(seconds) - float(_output(empty)))
    assert min(costs) < 0.2


def _output(source: str) -> str:
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout


def test_workers_lists_what_there_is_and_what_is_broken(tmp_path: Path) -> None:
    folder = project(tmp_path, "t")
    (folder / "src/workers/bad.py").write_text("import no_such_module")
    listed = core("kafka", "workers", folder=folder)
    assert listed.returncode == 0
    assert "src/workers/slow.py" in listed.stdout
    assert "broken: ModuleNotFoundError" in listed.stdout
    assert core("kafka", "workers", "--check", folder=folder).returncode == 1
    rows = json.loads(core("kafka", "workers", "--json", folder=folder).stdout)
    slow = next(row for row in rows if row["name"] == "Slow")
    assert (slow["group_id"], slow["concurrency"], slow["state"]) == ("t", 4, "ok")


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    command = f"{CORE} kafka workers --json | head -c 1"
    found = subprocess.run(
        ["bash", "-c", command],
        cwd=project(tmp_path, "t"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr == ""
