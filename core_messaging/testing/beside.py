"""A plugin beside a worker, on a broker in memory and a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from core_messaging.brokers.memory import MemoryBroker
from core_messaging.plugins import PluginReport, Plugins, check
from core_messaging.registrations import asked
from core_messaging.runtime import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker, config_of

PATIENCE = 20_000.0  # seconds of the virtual clock


def run_with(plugin: Any, worker: type[Worker], messages: Sequence[bytes | None]) -> MemoryBroker:
    """Let *worker* work off *messages* with *plugin* (a module or an object) loaded; what is in the broker then.

    ``configure`` is not called; do so yourself. Raises PluginError where a hook is wrong, and TimeoutError where
    a message is never finished.
    """
    hooks = check(plugin)
    config = config_of(worker)
    broker = MemoryBroker(dict.fromkeys(config.topics, 1))
    for message in messages:
        broker.put(config.input_topics[0], message)
    label = "the plugin under test"
    report = PluginReport("under-test", label, hooks=hooks, plugin=plugin, offers=asked(plugin, hooks, label))
    plugins = Plugins([report], Settings())
    options = RunOptions(settings=Settings(), broker=broker, plugins=plugins, handle_signals=False)
    run_virtually(_work_off(worker, options, broker, len(messages)))
    return broker


async def _work_off(worker: type[Worker], options: RunOptions, broker: MemoryBroker, count: int) -> None:
    config = config_of(worker)
    running = asyncio.ensure_future(run_workers([worker], options))

    def finished() -> int:
        return sum(c.offset for c in broker.committed(config.group_id, config.input_topics[0]).values())

    async with asyncio.timeout(PATIENCE):
        while finished() < count and not running.done():  # noqa: ASYNC110 - the broker has no event for it
            await asyncio.sleep(1)
    running.cancel()
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
