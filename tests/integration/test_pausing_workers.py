"""``core kafka pause``, ``resume`` and ``fleet`` with real processes on Apache Kafka."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import PATIENCE
from tests.integration.fleets import Project, stop
from tests.integration.harness import publish, run


@pytest.fixture
def project(apache_broker: RunningBroker, tmp_path: Path) -> Project:
    return Project(apache_broker, tmp_path)


def test_what_is_paused_waits_until_it_is_resumed_also_beyond_a_restart(project: Project) -> None:
    project.env["METRICS_INTERVAL"] = "0.5"  # six of them until the retention is looked at
    with project.worker() as running:
        running.until_said("greet has ")
        project.publish(1)
        running.until_said("hello 1")
        code, said, wrong = project.core("pause", "greet")
        assert (code, "1 of 1 process obeyed" in said) == (0, True), (said, wrong)
        running.until_said(f"group {project.topic} is paused by ")
        running.until(lambda: project.conditions() == ["paused"])
        project.publish_old(2)
        project.publish(3)
        running.until_said("Kafka soon deletes its oldest unread message")
        running.until(lambda: [w.at_risk for w in project.workers()] != [[]])
        assert "paused, and Kafka soon deletes" in project.core("fleet")[1]
        stop(running)
    assert "hello 2" not in running.output
    assert project.fleet()["processes"] == []  # it has said goodbye
    with project.worker() as again:
        again.until_said("greet has ")
        again.until(lambda: project.conditions() == ["paused"])
        assert "hello" not in again.output
        code, said, _ = project.core("resume", "greet")
        assert (code, "1 of 1 process obeyed" in said) == (0, True)
        again.until_said("hello 2")
        again.until_said("hello 3")
        again.until(lambda: project.conditions() == ["running"])
        stop(again)


def test_a_process_that_was_killed_is_named_with_the_partitions_that_wait(project: Project) -> None:
    with project.worker() as running:
        running.until_said("greet has ")
        running.until(lambda: any(w.partitions for each in project.look().processes for w in each.workers))
        running.process.kill()
        running.process.wait()
    deadline = time.monotonic() + PATIENCE
    while not project.look().silent:
        assert time.monotonic() < deadline
    code, said, wrong = project.core("fleet")
    assert code == 0, wrong
    assert f"No other process has its partitions yet: greet {project.topic}[0], {project.topic}[1]" in said


def test_one_partition_is_paused_for_a_time_and_the_other_goes_on(project: Project) -> None:
    with project.worker() as running:
        running.until_said("greet has ")
        assert (
            project.core("pause", "greet", "--topic", project.topic, "--partition", "0", "--for", "1h")[0]
            == 0
        )
        running.until(lambda: [w.paused for w in project.workers()] == [[f"{project.topic}[0]"]])
        numbers = range(10, 30)
        project.publish(*numbers)
        (pause,) = project.fleet()["pauses"]
        assert (pause["partition"], pause["topic"], pause["until"] > 0) == (0, project.topic, True)
        running.until(lambda: "hello" in running.output)
        assert project.conditions() == ["running"]
        assert project.core("resume", "greet")[2].startswith("still paused: ")  # another target
        assert project.core("resume", "greet", "--topic", project.topic, "--partition", "0")[0] == 0
        running.until(lambda: all(f"hello {n}" in running.lines for n in numbers))
        stop(running)


LIMITED = """
from pathlib import Path
from core.messaging import DlqLimit, worker

@worker(topic="{topic}", group_id="{topic}", dlq_topic="{topic}-dlq", dlq_limit=DlqLimit(consecutive=2), max_retries=0)
async def greet(message: dict) -> None:
    if not Path("mended").exists():
        raise ConnectionError("down")
    print("hello", message["n"], flush=True)
"""


def test_a_worker_beyond_its_dlq_limit_is_paused_for_all_until_it_is_resumed(project: Project) -> None:
    # A broken downstream filled the dead-letter queue with good messages.
    (project.folder / "src/workers/greet.py").write_text(LIMITED.format(topic=project.topic))
    with project.worker() as running:
        running.until_said("greet has ")
        project.publish(*range(8))
        running.until_said("greet reached its dlq_limit and pauses: 3 messages in a row failed for good")
        running.until_said(
            f"group {project.topic} is paused by the dlq_limit of greet on "
        )  # so the pause is stored
        (project.folder / "mended").touch()
        assert project.core("resume", "greet")[0] == 0
        running.until(lambda: running.output.count("hello") == 6)  # two were dead-lettered before the pause
        stop(running)


def test_garbage_in_both_topics_is_told_once_and_stops_nobody(
    apache_broker: RunningBroker, project: Project
) -> None:
    with project.worker() as running:
        running.until_said("greet has ")
        garbage: list[Any] = [(b"pause:{", b"x"), (b"k", b"\xff" * 1_000), (None, b"{}")]
        run(publish(apache_broker.address, project.control, garbage[:2]))
        run(publish(apache_broker.address, f"{project.control}-state", [(b"k", b"[" * 5_000), (b"j", b"{}")]))
        running.until_said("cannot be read; it is ignored")
        project.publish(1)
        running.until_said("hello 1")
        code, said, wrong = project.core("fleet")
        assert (code, "2 records of the state topic cannot be read" in wrong) == (0, True)
        assert "greet" in said
        assert running.output.count("it is ignored") == 1
        stop(running)


def test_without_a_control_topic_or_with_wrong_words_it_is_one_line(project: Project) -> None:
    assert project.core("pause", "greet")[2].startswith("core: topics that do not exist")
    assert "--partition needs --topic" in project.core("pause", "greet", "--partition", "1")[2]
    assert "reads " in project.core("pause", "greet", "--topic", "other")[2]
    assert "is no time; write 90s, 10m, 2h or 1d" in project.core("pause", "greet", "--for", "soon")[2]
    del project.env["KAFKA_CONTROL_TOPIC"]
    code, _, wrong = project.core("fleet")
    assert (code, wrong.startswith("core: no control topic is set")) == (1, True)
    assert len(wrong.strip().splitlines()) == 1


def test_a_start_that_cannot_read_the_control_topic_waits_or_refuses(project: Project) -> None:
    project.env["KAFKA_CONTROL_TIMEOUT"] = "0.001"
    with project.worker() as running:
        running.until_said("was not read within 0.001 s")
        running.until_said("greet has ")
        stop(running)
    project.env["KAFKA_CONTROL_REQUIRED"] = "true"
    with project.worker() as refused:
        assert refused.wait() == 1
    assert "nothing was started" in refused.output
