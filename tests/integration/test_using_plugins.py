"""Plugins beside a real worker on a real broker: told what happens, and unable to break it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core_messaging import hookimpl
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.settings import Settings
from core_messaging.snapshot import Snapshot
from tests.integration.brokers import RunningBroker
from tests.integration.commands import core, running_core
from tests.integration.harness import publish, read, run, running, until_committed
from tests.integration.journal import journal


class Everything:
    """Writes down every event."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.snapshots: list[Snapshot] = []
        self.closed = False

    @hookimpl
    def on_start(self, worker: Any) -> None:
        self.told.append(("start", worker.name))

    @hookimpl
    async def on_stop(self, worker: Any, error: Any) -> None:
        self.told.append(("stop", worker.name, error))

    @hookimpl
    def on_success(self, message: Any, result: Any) -> None:
        self.told.append(("success", message["n"], result))

    @hookimpl
    async def on_error(self, message: Any, error: Any, context: Any) -> None:
        await asyncio.sleep(0)
        self.told.append(("error", message and message["n"], type(error).__name__, context.attempt))

    @hookimpl
    def on_retry(self, message: Any, delay: float) -> None:
        self.told.append(("retry", message["n"], delay))

    @hookimpl
    def on_dead_letter(self, topic: str, context: Any) -> None:
        self.told.append(("dead letter", topic))

    @hookimpl
    def on_assigned(self, partitions: Any) -> None:
        self.told.append(("assigned", len(partitions)))

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    @hookimpl
    async def wrap_process(self, call_next: Any, message: Any, context: Any) -> Any:
        return await call_next(message | {"wrapped": True}, context)

    async def close(self) -> None:
        self.closed = True


class Broken:
    """Fails at everything it is told."""

    @hookimpl
    def on_success(self) -> None:
        raise ValueError("broken plugin")

    @hookimpl
    async def on_error(self) -> None:
        await asyncio.Event().wait()


def plugins(**objects: Any) -> Plugins:
    reports = [PluginReport(name, "test 1.0", plugin=plugin) for name, plugin in objects.items()]
    return Plugins(reports, Settings(plugin_timeout=0.5))


def test_every_event_is_told_and_a_broken_plugin_changes_nothing(broker: RunningBroker) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    everything = Everything()

    async def process(self: Any, message: dict[str, Any]) -> str:
        assert message["wrapped"]
        if message["n"] == 2:
            raise KeyError("boom")
        return "done"

    made = journal(input_topic=topic, dlq_topic=dlq, process=process, max_retries=1, initial_delay=0.01)

    async def test() -> None:
        records = [(b"k", json.dumps({"n": n}).encode()) for n in (1, 2, 3)]
        await publish(broker.address, topic, [*records, (b"k", b"nope")])
        told = plugins(broken=Broken(), everything=everything)
        async with running(broker.address, made, plugins=told, metrics_interval=0.05):
            await read(broker.address, dlq, 2)
            await until_committed(broker.address, topic, 4)

    run(test())
    assert everything.told == [
        ("start", "Made"),
        ("assigned", 4),
        ("success", 1, "done"),
        ("retry", 2, 0.02),
        ("error", 2, "KeyError", 2),
        ("dead letter", dlq),
        ("success", 3, "done"),
        ("error", None, "Undecodable", 0),
        ("dead letter", dlq),
        ("stop", "Made", None),
    ]
    assert everything.closed
    last = everything.snapshots[-1].workers[0]
    assert Counter(last.counters) >= Counter(
        succeeded=2, retried=1, dead_lettered=2, undecodable=1, exhausted=1
    )
    assert last.latency.count == 4
    assert last.in_flight == 0


PLUGIN = """
from core_messaging import hookimpl

@hookimpl
def on_success(worker, message):
    print("PLUGIN SAW", worker.name, message["n"], flush=True)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed plugin and one that is broken on purpose."""
    folder = tmp_path / "site"
    for name, source in (("seer", PLUGIN), ("broken", "import no_such_module")):
        meta = folder / f"{name}_plugin-2.0.dist-info"
        meta.mkdir(parents=True)
        (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 2.0\n")
        (meta / "entry_points.txt").write_text(f"[core.plugins]\n{name} = {name}_plugin\n")
        (folder / f"{name}_plugin.py").write_text(source)
    return folder


def test_core_plugins_lists_them_and_check_fails_for_a_broken_one(site: Path, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(site)}
    listed = core("plugins", folder=tmp_path, env=env)
    assert listed.returncode == 0
    assert "seer-plugin 2.0" in listed.stdout
    assert "broken: ModuleNotFoundError: No module named 'no_such_module'" in listed.stdout
    assert core("plugins", "--check", folder=tmp_path, env=env).returncode == 1
    assert core("plugins", "--check", "--disable-plugin", "broken", folder=tmp_path, env=env).returncode == 0
    rows = {
        row["name"]: row for row in json.loads(core("plugins", "--json", folder=tmp_path, env=env).stdout)
    }
    assert (rows["seer"]["state"], rows["seer"]["hooks"]) == ("ok", ["on_success"])


def test_an_installed_plugin_is_used_and_traced_and_a_broken_one_is_told(
    broker: RunningBroker, site: Path, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    (tmp_path / "src/workers").mkdir(parents=True)
    source = (
        f"from core_messaging import worker\n@worker(topic={topic!r})\nasync def handle(message: dict): ...\n"
    )
    (tmp_path / "src/workers/w.py").write_text(source)
    run(publish(broker.address, topic, [b'{"n": 7}']))
    env = {"PYTHONPATH": str(site), "KAFKA_BOOTSTRAP_SERVERS": broker.address}
    with running_core("kafka", "worker", "handle", "--trace-plugins", folder=tmp_path, env=env) as process:
        process.until_said("PLUGIN SAW handle 7")
        process.until_said("plugin seer: on_success(worker, message) took")
        process.until_said("plugin broken (broken-plugin 2.0) is broken: ModuleNotFoundError")
        process.signal(15)
        assert process.wait() == 0
