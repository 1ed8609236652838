"""Whatever a plugin does, every message is done once and every other plugin is told everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from core_messaging_plugins.prometheus_page import page
from prometheus_client.parser import text_string_to_metric_families

from core_messaging import Worker, hookimpl
from core_messaging.errors import PluginError
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.hookspecs import OBSERVERS
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing import run_virtually
from core_messaging.worker import config_of

GOOD, LATE, BAD = b'{"n": 1}', b'{"n": 2}', b'{"n": 3}'
MESSAGES = [GOOD, LATE, BAD, GOOD, b"no JSON", GOOD]


class Counting(Worker):
    """1 succeeds, 2 at the second attempt, 3 never."""

    input_topic = "tasks"
    output_topic = "results"
    dlq_topic = "tasks-dlq"
    max_retries = 1

    async def process(self, message: dict[str, Any], context: Any) -> int:
        if message["n"] == 3 or (message["n"] == 2 and context.attempt == 1):
            raise ValueError("no")
        return int(message["n"])


def raises() -> None:
    raise ValueError("broken")


def exits() -> None:
    raise SystemExit(1)


def interrupts() -> None:
    raise KeyboardInterrupt


def cancels() -> None:
    raise asyncio.CancelledError


async def exits_later() -> None:
    await asyncio.sleep(0)
    raise SystemExit(1)


async def interrupts_later() -> None:
    await asyncio.sleep(0)
    raise KeyboardInterrupt


async def cancels_its_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def hangs() -> None:
    await asyncio.Event().wait()


async def hangs_and_cannot_be_cancelled() -> None:
    while True:
        with suppress(BaseException):
            await asyncio.Event().wait()


def is_slow() -> None:
    time.sleep(0.12)


async def blocks_the_loop() -> None:
    time.sleep(0.12)  # noqa: ASYNC251 - the fault under test


FAULTS = [
    raises,
    exits,
    interrupts,
    cancels,
    exits_later,
    interrupts_later,
    cancels_its_task,
    hangs,
    hangs_and_cannot_be_cancelled,
    is_slow,
    blocks_the_loop,
]


BLOCKING = (is_slow, blocks_the_loop)  # in real time; whatever else waits does so on the virtual clock


def plugin_of(fault: Callable[[], Any]) -> Any:
    """*fault* at every event there is; a blocking one, which costs the test its time, at one of them."""

    def implementation() -> Any:
        return fault()

    async def later() -> Any:
        return await fault()

    chosen = later if asyncio.iscoroutinefunction(fault) else implementation
    hooks = ("on_success",) if fault in BLOCKING else OBSERVERS
    return type("Faulty", (), {hook: staticmethod(hookimpl(chosen)) for hook in hooks})()


class Witness:
    """Writes down every event it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    @hookimpl
    def on_start(self) -> None:
        self.told.append("start")

    @hookimpl
    def on_success(self, context: Any) -> None:
        self.told.append(("success", context.offset))

    @hookimpl
    async def on_retry(self, context: Any) -> None:
        await asyncio.sleep(0)
        self.told.append(("retry", context.offset))

    @hookimpl
    async def on_error(self, context: Any) -> None:
        await asyncio.sleep(0)
        self.told.append(("error", context.offset))

    @hookimpl
    def on_dead_letter(self, context: Any) -> None:
        self.told.append(("dead letter", context.offset))

    @hookimpl
    async def on_stop(self, error: Any) -> None:
        await asyncio.sleep(0)
        self.told.append(("stop", error))


ALL_TOLD = [
    "start",
    *(("success", offset) for offset in (0, 1, 3, 5)),
    ("retry", 1),
    ("retry", 2),
    *(("error", offset) for offset in (2, 4)),
    *(("dead letter", offset) for offset in (2, 4)),
    ("stop", None),
]


def plugins(limit: float = 1.0, **objects: Any) -> Plugins:
    reports = [PluginReport(name, "test 1.0", plugin=plugin) for name, plugin in objects.items()]
    return Plugins(reports, Settings(plugin_timeout=limit))


@asynccontextmanager
async def at_work(loaded: Plugins, *messages: bytes) -> AsyncIterator[MemoryBroker]:
    """A worker with *loaded* that has worked off *messages*; stopped at the end."""
    broker = MemoryBroker({"tasks": 1, "results": 1, "tasks-dlq": 1})
    for message in messages:
        broker.put("tasks", message)
    options = RunOptions(settings=Settings(), broker=broker, plugins=loaded, handle_signals=False)
    running = asyncio.ensure_future(run_workers([Counting], options))
    async with asyncio.timeout(3_000):  # of the virtual clock
        while sum(c.offset for c in broker.committed("counting", "tasks").values()) < len(messages):
            assert not running.done(), running.result()
            await asyncio.sleep(0.5)
    yield broker
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("first", [True, False])
def test_no_fault_changes_what_becomes_of_a_message_or_what_others_are_told(
    fault: Callable[[], Any], first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    faulty, witness = plugin_of(fault), Witness()
    order = {"faulty": faulty, "witness": witness} if first else {"witness": witness, "faulty": faulty}
    loaded = plugins(limit=0.1 if fault in BLOCKING else 1.0, **order)
    results: list[bytes] = []
    letters: list[bytes] = []

    async def test() -> None:
        async with at_work(loaded, *MESSAGES) as broker:
            results.extend(record.value or b"" for record in broker.records("results"))
            letters.extend(record.value or b"" for record in broker.records("tasks-dlq"))

    run_virtually(test())
    assert sorted(results) == [b"1", b"1", b"1", b"2"]
    assert sorted(letters) == sorted([BAD, b"no JSON"])
    assert sorted(map(str, witness.told)) == sorted(map(str, ALL_TOLD))
    assert "plugin faulty: on_success" in caplog.text
    # Named, counted, and nobody else is.
    calls = {(c.plugin, c.hook): c for c in loaded.calls()}
    assert calls["faulty", "on_success"].failures == calls["faulty", "on_success"].calls == 4
    # (Beside a blocking one the limit is so short that a busy machine may exceed it.)
    if fault not in BLOCKING:
        assert not [c for c in loaded.calls() if c.plugin == "witness" and c.failures]


def test_implementations_that_wait_wait_side_by_side() -> None:
    # One that hangs costs its own time limit, not the call of whoever comes after it.
    class Hanging:
        @hookimpl
        async def on_success(self) -> None:
            await asyncio.Event().wait()

    when: list[float] = []

    class Prompt:
        @hookimpl
        async def on_success(self) -> None:
            when.append(asyncio.get_running_loop().time())

    class Process(Counting):
        input_topic = "tasks"

        async def process(self, message: dict[str, Any]) -> None:  # type: ignore[override] # no context
            when.append(asyncio.get_running_loop().time())

    async def test() -> None:
        broker = MemoryBroker({"tasks": 1, "results": 1, "tasks-dlq": 1})
        broker.put("tasks", GOOD)
        loaded = plugins(limit=5.0, one=Hanging(), two=Hanging(), three=Prompt())
        options = RunOptions(settings=Settings(), broker=broker, plugins=loaded, handle_signals=False)
        running = asyncio.ensure_future(run_workers([Process], options))
        group = config_of(Process).group_id
        async with asyncio.timeout(100):
            while not sum(c.offset for c in broker.committed(group, "tasks").values()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.1)
        when.append(asyncio.get_running_loop().time())
        running.cancel()
        await asyncio.wait([running])

    run_virtually(test())
    processed, told, committed = when
    assert told == processed
    assert committed - processed < 7.0  # one time limit and a commit interval, not two limits


def test_failures_are_counted_for_the_metrics_hook_and_prometheus() -> None:
    class Metrics:
        last: Any = None

        @hookimpl
        def metrics(self, snapshot: Any) -> None:
            self.last = snapshot

    metrics = Metrics()

    async def test() -> None:
        async with at_work(plugins(faulty=plugin_of(raises), metrics=metrics), *[GOOD] * 11):
            pass

    run_virtually(test())
    body = page(metrics.last).body.decode()
    families = {family.name: family for family in text_string_to_metric_families(body)}

    def value(name: str) -> float:
        (found,) = [
            sample.value
            for sample in families[name].samples
            if sample.labels == {"plugin": "faulty", "hook": "on_success"}
            and not sample.name.endswith("_created")
        ]
        return float(found)

    assert (value("core_plugin_calls"), value("core_plugin_failures")) == (10, 10)
    assert value("core_plugin_switched_off") == 1
    assert value("core_plugin_seconds") >= 0


class Closing:
    def __init__(self, close: Callable[[], Any]) -> None:
        self.close = close


@pytest.mark.parametrize("fault", FAULTS)
def test_a_close_that_misbehaves_holds_up_neither_the_end_nor_the_others(
    fault: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[str] = []
    loaded = plugins(limit=0.05, bad=Closing(fault), good=Closing(lambda: closed.append("good")))

    async def test() -> None:
        async with asyncio.timeout(60):
            await loaded.close()

    asyncio.run(test())
    assert closed == ["good"]
    assert fault in BLOCKING or "plugin bad: close() " in caplog.text


@pytest.mark.parametrize("fault", [raises, exits, hangs, hangs_and_cannot_be_cancelled])
def test_a_serve_that_misbehaves_stops_the_start_with_the_plugins_name(fault: Callable[[], Any]) -> None:
    class Serving:
        @hookimpl
        def serve(self) -> Any:
            return fault()

    async def test() -> None:
        with pytest.raises(PluginError, match=r"plugin bad \(test 1.0\): serve .*--disable-plugin bad"):
            async with at_work(plugins(limit=0.05, bad=Serving()), GOOD):
                pass

    run_virtually(test())
