"""Workers of this project with all guarantees: order, retries, commits of finished work only."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any
from uuid import uuid4

from benchmarks.contestants.handlers import coroutine, plain, typed
from benchmarks.load import body, key
from benchmarks.tally import Tally
from benchmarks.task import KEYS, Task
from core_messaging import hookimpl
from core_messaging.plugins.manager import PluginReport, Plugins, find
from core_messaging.producer import Producer
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker


class Watching:
    """A plugin with one plain hook for every message."""

    def __init__(self) -> None:
        self.seen = 0

    @hookimpl
    def on_success(self, worker: Any, message: Any) -> None:
        self.seen += 1


def _settings(task: Task) -> Settings:
    # OpenTelemetry is used wherever it is installed, so it is left out where it is not measured.
    left_out = () if task.plugin == "opentelemetry" else ("opentelemetry",)
    return Settings(kafka_bootstrap_servers=task.address, core_plugins_disable=left_out)


def _plugins(task: Task, settings: Settings) -> Plugins:
    """Load the plugins of every installation, and the one under test."""
    if task.plugin == "prometheus":
        os.environ["CORE_PLUGIN_PROMETHEUS_PORT"] = "0"
    reports = find(settings)
    if task.plugin == "on_success":
        reports.append(PluginReport("watching", "benchmark", hooks=("on_success",), plugin=Watching()))
    return Plugins(reports, settings)


async def _work(task: Task, tally: Tally, **attributes: Any) -> None:
    options = {
        "input_topic": task.topic,
        "group_id": uuid4().hex,
        "concurrency": task.slots,
        "ordering": task.ordering,
        **({"output_topic": task.output} if task.output else {}),
    }
    made = type("Bench", (Worker,), options | attributes)
    settings = _settings(task)
    run = RunOptions(settings=settings, handle_signals=False, plugins=_plugins(task, settings))
    working = asyncio.create_task(run_workers([made], run))
    over = asyncio.create_task(tally.wait())
    await asyncio.wait({working, over}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def worker(task: Task, tally: Tally) -> None:
    """``async def process``."""
    if task.message == "struct":
        await _work(task, tally, process=staticmethod(typed(task, tally)))
        return
    await _work(task, tally, process=staticmethod(coroutine(task, tally)))


async def threads(task: Task, tally: Tally) -> None:
    """Plain ``def process``."""
    await _work(task, tally, process=staticmethod(plain(task, tally)))


async def batches(task: Task, tally: Tally) -> None:
    """``async def process_batch``."""

    async def process_batch(_self: Worker, messages: list[dict[str, Any]]) -> None:
        tally.begin()
        for message in messages:
            tally.one(message["id"])

    await _work(task, tally, process_batch=process_batch, batch_size=task.batch, batch_timeout=0.01)


async def failing(task: Task, tally: Tally) -> None:
    """Run with some keys that always fail. The other keys are measured."""
    handle = coroutine(task, tally)

    async def process(_self: Worker, message: dict[str, Any]) -> None:
        if message["id"] % KEYS < task.failing:
            raise RuntimeError("this key fails for ever")
        await handle(message)

    await _work(task, tally, process=process, max_retries=3, initial_delay=0.5)


async def send_many(task: Task, tally: Tally) -> None:
    """``send_many`` of encoded messages."""
    async with Producer(_settings(task), "benchmark") as producer:
        tally.begin()
        numbers = range(task.count)
        receipts = await producer.send_many(
            topic=task.output, messages=map(body, numbers), key=_keys(task.count)
        )
        for number, _ in zip(numbers, receipts, strict=True):
            tally.one(number)
        await tally.wait()


def _keys(count: int) -> Any:
    numbers = iter(range(count))
    return lambda _message: key(next(numbers))


async def send_concurrently(task: Task, tally: Tally) -> None:
    """One task for each slot. Each waits for its own acknowledgement."""
    numbers = iter(range(task.count))
    async with Producer(_settings(task), "benchmark") as producer:

        async def sender() -> None:
            for number in numbers:
                await producer.send(topic=task.output, message=body(number), key=key(number))
                tally.one(number)

        tally.begin()
        await asyncio.gather(*(sender() for _ in range(task.slots)))
        await tally.wait()
