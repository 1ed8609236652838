"""Two workers of one process are never mixed up, whatever they are called."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

import pytest
from core_messaging_plugins.outcome_log import OutcomeLog
from core_messaging_plugins.prometheus_page import page

from core_messaging import Worker, hookimpl
from core_messaging.errors import ConfigurationError
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.runtime.worker_names import told_apart
from core_messaging.settings import Settings
from core_messaging.snapshot import Snapshot
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import config_of


def made(topic: str, group: str = "w", source: str = "", name: str = "W") -> type[Worker]:
    async def process(self: Worker, message: dict[str, Any]) -> None: ...

    worker: Any = type(name, (Worker,), {"input_topic": topic, "group_id": group, "process": process})
    if source:
        object.__setattr__(worker.__core_config__, "source", source)
    made_one: type[Worker] = worker
    return made_one


def names(*workers: type[Worker]) -> list[str]:
    return [config.name for config in told_apart(workers)]


def test_workers_of_one_name_are_called_by_their_packages_and_the_others_as_they_are() -> None:
    mine, theirs = made("a", source="acme-mail 1.0"), made("b", source="shop 2.1")
    assert names(mine, made("c", name="V"), theirs) == ["acme-mail:W", "V", "shop:W"]
    assert names(mine) == ["W"]
    assert config_of(mine).name == "W"


def test_those_of_one_package_are_told_apart_by_their_groups_or_refused() -> None:
    assert names(made("a", "ga"), made("b", "gb")) == [f"{__name__}:W@ga", f"{__name__}:W@gb"]
    with pytest.raises(
        ConfigurationError, match=r"2 workers of this process are called .*:W@w, so nobody could"
    ):
        told_apart([made("a"), made("b")])


class Last:
    snapshot: Snapshot

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


def test_no_series_is_there_twice_and_no_line_mixes_two_workers(caplog: pytest.LogCaptureFixture) -> None:
    last, broker = Last(), MemoryBroker({"a": 1, "b": 1})
    for topic, count in (("a", 1), ("b", 2)):
        for _ in range(count):
            broker.put(topic, b"{}")
    reports = [PluginReport(str(i), "test", plugin=one) for i, one in enumerate((last, OutcomeLog()))]

    async def test() -> None:
        settings = Settings(metrics_interval=1.0)
        options = RunOptions(
            settings=settings, broker=broker, handle_signals=False, plugins=Plugins(reports, settings)
        )
        running = asyncio.ensure_future(run_workers([made("a", "ga"), made("b", "gb")], options))
        await asyncio.sleep(5.0)
        running.cancel()
        await asyncio.wait([running])

    with caplog.at_level("INFO"):
        run_virtually(test())
    text = page(last.snapshot).body.decode()
    series = Counter(line.rsplit(" ", 1)[0] for line in text.splitlines() if line[0] != "#")
    assert set(series.values()) == {1}
    assert len(set(re.findall(r'core_succeeded_total\{worker="(.*?)"\}', text))) == 2
    lines = [line for line in caplog.messages if " done" in line]
    assert [line.partition(",")[0] for line in lines] == [
        f"{__name__}:W@ga: 1 done",
        f"{__name__}:W@gb: 2 done",
    ]
