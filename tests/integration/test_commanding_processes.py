"""``core kafka drain``, ``dump``, ``log-level`` and ``retry-now``: commands to real processes on Apache Kafka."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from core_messaging.rules.commands import Command, encode_command
from tests.integration.brokers import RunningBroker
from tests.integration.commands import Running
from tests.integration.fleets import HANGS, Project, stop
from tests.integration.harness import publish, run

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def project(apache_broker: RunningBroker, tmp_path: Path) -> Project:
    return Project(apache_broker, tmp_path)


def two_of(project: Project, running: Running) -> set[int]:
    running.until_said("greet has ")  # the topics of the fleet are there
    running.until(lambda: len(project.pids()) == 2)
    return project.pids()


def test_a_drain_ends_one_of_two_processes_and_it_starts_again_unless_for_good(project: Project) -> None:
    with project.worker("--processes", "2") as running:
        first, second = two_of(project, running)
        code, said, wrong = project.core("drain", str(first))
        assert (code, "draining: it finishes what runs" in said) == (0, True), (said, wrong)
        running.until_said("ended in order; it is started again in ")
        running.until(lambda: len(project.pids() - {first}) == 2)
        successor = (project.pids() - {first, second}).pop()
        assert project.core("drain", str(successor), "--for-good")[0] == 0
        running.until_said("is drained for good; the others go on")
        running.until(lambda: project.pids() == {second})
        project.publish(*range(10))
        running.until(lambda: all(f"hello {n}" in running.output for n in range(10)))
        stop(running)


def test_a_process_logs_more_for_a_time_and_obeys_nothing_else(
    apache_broker: RunningBroker, project: Project
) -> None:
    with project.worker() as running:
        running.until_said("greet has ")
        running.until(lambda: len(project.pids()) == 1)
        (process,) = project.fleet()["processes"]
        address = f"{process['host']}:{process['pid']}"
        code, said, wrong = project.core("log-level", address, "debug", "--for", "1s")
        assert (code, said.strip()) == (0, f"{address}: logs at debug for 1 s"), wrong
        running.until_said("the log level is what it was before")
        strange = [
            Command(id="a", process=process["id"], name="dance", expires=2e9),
            Command(id="b", process=process["id"], name="drain", expires=1.0),
            Command(id="c", process="another", name="drain", expires=2e9),
        ]
        records = [(b"command:x", b"{"), (b"command:y", b" " * 100_000), *map(encode_command, strange)]
        run(publish(apache_broker.address, project.control, records))
        running.until_said("after it had expired")
        assert running.output.count("it is ignored, and so are others like it") == 1
        assert project.core("drain", "nobody")[2].startswith(
            "core: no process of the fleet is named 'nobody'"
        )
        stop(running)
    assert "drain: stopping" not in running.output


def have_one_each(project: Project, running: Running) -> None:
    """Before that a rebalance may take the message away from its handler."""
    share = re.compile(rf"\[(\d)\] greet has {project.topic}\[\d\]$", re.MULTILINE)
    running.until(lambda: set(share.findall(running.output)) == {"1", "2"})


def test_a_dump_says_where_a_handler_stands_and_shows_no_value(project: Project) -> None:
    project.env["SHUTDOWN_TIMEOUT"] = "0.5"
    with project.worker("--processes", "2") as running:
        have_one_each(project, running)
        project.publish(HANGS)
        running.until_said(f"hello {HANGS}")
        said = "".join(project.core("dump", str(pid))[1] for pid in project.pids())
        assert str(HANGS) not in said
        assert_shows_the_handler(project, said)
        running.signal(signal.SIGUSR1)
        running.until(lambda: len(re.findall(r"^\d+ threads$", running.output, re.MULTILINE)) == 2)
        assert_shows_the_handler(project, running.output)
        running.signal(signal.SIGTERM)
        assert running.wait() == 1  # the handler was still running


def assert_shows_the_handler(project: Project, dump: str) -> None:
    assert re.search(rf"^  runner 0: {project.topic}\[\d\]@0 for \d", dump, re.MULTILINE), dump
    assert re.search(r"greet\.py:\d+ hang$", dump, re.MULTILINE), dump


FAILS_ONCE = """
from core.messaging import worker

@worker(topic="{topic}", group_id="{topic}", retry_backoff="fixed", initial_delay=300.0)
async def greet(message: dict, context) -> None:
    if context.attempt == 1:
        raise ConnectionError("down")
    print("hello", message["n"], flush=True)
"""


def test_what_waits_for_a_retry_is_tried_now(project: Project) -> None:
    (project.folder / "src/workers/greet.py").write_text(FAILS_ONCE.format(topic=project.topic))
    with project.worker() as running:
        running.until_said("greet has ")
        project.publish(1, 2, 3)
        running.until_said("3 waiting for a retry")
        code, said, wrong = project.core("retry-now", "greet", "--key", "2")
        assert (code, "1 message that waited for a retry is tried now" in said) == (0, True), (said, wrong)
        running.until_said("hello 2")
        code, said, wrong = project.core("retry-now", "greet")
        assert (code, "2 messages that waited for a retry are tried now" in said) == (0, True), (said, wrong)
        running.until_said("hello 1")
        running.until_said("hello 3")
        stop(running)
    code, _, wrong = project.core("retry-now", "greet")
    assert (code, "is in the fleet, so nothing was tried" in wrong) == (1, True)
