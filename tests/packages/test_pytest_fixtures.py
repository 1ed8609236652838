"""The fixtures that pytest has wherever core-messaging is installed."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from core_messaging import Worker
from core_messaging.errors import NotFinished, RetriesExhausted
from core_messaging.local_broker.embedded import EmbeddedBroker
from core_messaging.testing import BackgroundWorkbench, MakeWorkbench, MemoryBroker


class Doubling(Worker):
    input_topic = "numbers"
    output_topic = "doubles"
    dlq_topic = "numbers-dlq"
    max_retries = 1
    initial_delay = 100.0

    async def process(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"n": message["n"] * 2}


class Strict(Worker):
    input_topic = "numbers"
    on_exhausted = "stop"
    max_retries = 0

    async def process(self, message: dict[str, Any]) -> None:
        raise ValueError(message["m"])


def test_a_worker_runs_while_messages_come(core_workbench: MakeWorkbench) -> None:
    bench = core_workbench(Doubling)
    bench.put({"n": 1})
    assert [record.value for record in bench.until_finished().results] == [b'{"n":2}']
    bench.put({"n": 2}, {"m": 0})
    outcome = bench.until_finished()
    assert (len(outcome.results), len(outcome.dead_letters)) == (2, 1)
    assert [retry.delay for retry in outcome.retries] == [200.0]


def test_what_stops_the_worker_is_raised_and_nothing_is_left_behind() -> None:
    bench = BackgroundWorkbench(Strict)
    bench.put({"m": 0})
    with pytest.raises(RetriesExhausted):
        bench.until_finished()
    with pytest.raises(RetriesExhausted):
        bench.stop()
    assert "workbench" not in {thread.name for thread in threading.enumerate()}


def test_what_is_not_finished_in_time_is_named() -> None:
    class Slow(Worker):
        input_topic = "numbers"

        def process(self, message: dict[str, Any]) -> None:
            released.wait()

    released = threading.Event()
    bench = BackgroundWorkbench(Slow)
    bench.put({"n": 1})
    with pytest.raises(NotFinished, match=r"numbers\[0\]@0"):
        bench.until_finished(0.1)
    released.set()
    bench.stop()


def test_a_broker_in_memory_is_new_for_each_test(core_memory_broker: MemoryBroker) -> None:
    core_memory_broker.put("numbers", b"1")
    assert [record.value for record in core_memory_broker.records("numbers")] == [b"1"]


def test_an_embedded_broker_is_on_a_port(core_embedded_broker: EmbeddedBroker) -> None:
    core_embedded_broker.create_topic("numbers")
    assert core_embedded_broker.address.startswith("127.0.0.1:")


def test_pytest_imports_nothing_of_ours_before_a_test_asks(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n\n\ndef test_nothing():\n"
        "    assert 'core_messaging_plugins.pytest_fixtures' in sys.modules\n"
        "    assert 'core_messaging.testing' not in sys.modules\n"
        "    assert 'aiokafka' not in sys.modules\n"
    )
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
