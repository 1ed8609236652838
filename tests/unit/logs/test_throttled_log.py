"""What the log holds back is told with a count: once it is quiet, and at the end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from core_messaging import Worker, hookimpl
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually


class Fails:
    @hookimpl
    def on_error(self) -> None:
        raise ValueError("the plugin's")


async def fails(self: Worker, message: dict[str, Any]) -> None:
    raise ValueError("always")


async def ends_after(seconds: float, trouble: Callable[[MemoryBroker], None], **options: Any) -> None:
    broker = MemoryBroker({"in": 1, "out": 1, "dlq": 1})
    trouble(broker)
    for number in range(5):
        broker.put("in", b"{}", b"%d" % number)
    made = type("Storm", (Worker,), {"input_topic": "in", "max_retries": 0, "process": fails, **options})
    plugins = Plugins([PluginReport("p", "test", plugin=Fails())], Settings())
    run = RunOptions(settings=Settings(), broker=broker, handle_signals=False, plugins=plugins)
    running = asyncio.ensure_future(run_workers([made], run))
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.wait([running])


def held_back(caplog: pytest.LogCaptureFixture, who: str) -> int:
    """How many lines were told by their number only."""
    lines = [line for line in caplog.messages if line.startswith(who)]
    counts = [re.search(r"(\d+) more like", line) for line in lines]
    return sum(int(found[1]) for found in counts if found)


@pytest.mark.parametrize("seconds", [5.0, 60.0])  # the end comes first, or the quiet
def test_dead_letters_and_failed_hooks_are_all_told(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    run_virtually(ends_after(seconds, lambda _broker: None, dlq_topic="dlq"))
    told = [line for line in caplog.messages if "dead-lettered in[0]" in line]
    assert len(told) + held_back(caplog, "Storm") == 5
    hooks = [line for line in caplog.messages if "on_error raised" in line or "switched off" in line]
    assert len(hooks) + held_back(caplog, "plugin p") == 5


def test_results_that_cannot_be_published_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def process(self: Worker, message: dict[str, Any]) -> dict[str, Any]:
        return message

    # Each of the five is refused twice.
    run_virtually(
        ends_after(60.0, lambda broker: broker.fail_publishes("out", 10), process=process, output_topic="out")
    )
    told = [line for line in caplog.messages if "cannot publish to out" in line]
    assert len(told) + held_back(caplog, "Storm") == 10
