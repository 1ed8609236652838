"""Each hook told as its contract says, by a plugin that has only this one; and documented, with an example that runs."""

from __future__ import annotations

import asyncio
import doctest
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any

import click
import pytest
from core_messaging_cli.plugin_commands import commands_of

from core_messaging import Codec, Worker, hookimpl
from core_messaging.broker import Subscription
from core_messaging.errors import PluginError
from core_messaging.plugins import hookspecs
from core_messaging.plugins.factories import broker_of
from core_messaging.plugins.hook_check import check
from core_messaging.plugins.manager import PluginReport, Plugins, registrations
from core_messaging.plugins.redaction import redaction_by
from core_messaging.plugins.registrations import Registrations, offers_of
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing import MemoryBroker, run_virtually, run_with
from tests.environments import ROOT
from tests.unit.plugins.test_isolation import MESSAGES, at_work, plugins

HOOKS = [n for n, f in vars(hookspecs).items() if hasattr(f, f"{hookspecs.PROJECT}_spec")]
DOCUMENTED = (ROOT / "docs/plugins.md").read_text()
TOLD: list[Any] = []

GOOD, LATE, BAD = b'{"n": 1}', b'{"n": 2}', b'{"n": 3}'


class Counting(Worker):
    """1 succeeds, 2 at the second attempt, 3 never."""

    input_topic = "tasks"
    output_topic = "results"
    dlq_topic = "tasks-dlq"
    max_retries = 1
    initial_delay = 1.5

    async def process(self, message: dict[str, Any], context: Any) -> int:
        if message["n"] == 3 or (message["n"] == 2 and context.attempt == 1):
            raise ValueError("no")
        return int(message["n"])


def told_to(implementation: Callable[..., Any], *messages: bytes) -> list[Any]:
    """What a plugin with only *implementation* wrote down while *messages* were worked off."""
    TOLD.clear()
    plugin = type("Plugin", (), {implementation.__name__: staticmethod(hookimpl(implementation))})()
    run_with(plugin, Counting, messages)
    return list(TOLD)


def test_on_start() -> None:
    def on_start(worker: Any) -> None:
        TOLD.append(worker.name)

    assert told_to(on_start, GOOD) == ["Counting"]


def test_on_stop() -> None:
    def on_stop(worker: Any, error: Any) -> None:
        TOLD.append((worker.name, error))

    assert told_to(on_stop, GOOD) == [("Counting", None)]


def test_on_success() -> None:
    async def on_success(message: Any, result: Any, context: Any, worker: Any) -> None:
        await asyncio.sleep(0)
        TOLD.append((message, result, context.offset, worker.name))

    assert told_to(on_success, GOOD, BAD) == [({"n": 1}, 1, 0, "Counting")]


def test_on_error() -> None:
    def on_error(message: Any, error: Any, context: Any) -> None:
        TOLD.append((message, type(error).__name__, context.attempt))

    assert told_to(on_error, BAD, b"no JSON") == [(None, "Undecodable", 0), ({"n": 3}, "ValueError", 2)]


def test_on_retry() -> None:
    def on_retry(message: Any, error: Any, delay: float, context: Any) -> None:
        TOLD.append((message["n"], str(error), delay, context.attempt))

    assert told_to(on_retry, LATE) == [(2, "no", 3.0, 1)]


def test_on_dead_letter() -> None:
    def on_dead_letter(error: Any, context: Any, topic: str) -> None:
        TOLD.append((str(error), context.coordinates, topic))

    assert told_to(on_dead_letter, BAD) == [("no", "tasks[0]@0", "tasks-dlq")]


def test_on_assigned() -> None:
    def on_assigned(partitions: Any) -> None:
        TOLD.append([str(partition) for partition in partitions])

    assert told_to(on_assigned, GOOD) == [["tasks[0]"]]


def test_on_revoked() -> None:
    broker = MemoryBroker({"tasks": 2}, auto_create_partitions=None)
    config = Counting.__core_config__
    assert config is not None

    class Revoked:
        @hookimpl
        def on_revoked(self, partitions: Any) -> None:
            TOLD.append([str(partition) for partition in partitions])

        @hookimpl
        def on_assigned(self) -> None:
            # A second member asks to join as soon as this one is in: the group shares out anew.
            if not TOLD:
                TOLD.append("joining")
                loop = asyncio.get_running_loop()
                TOLD.append(loop.create_task(second.start(lambda _commits: None, leave, leave)))

    async def leave(_sources: frozenset[Any]) -> None: ...

    second = broker.consumer(Subscription(config.group_id, config.input_topics))
    TOLD.clear()
    plugins = Plugins([PluginReport("p", "test", plugin=Revoked())], Settings())
    run_virtually(until_told(broker, plugins))
    assert ["tasks[0]"] in TOLD


async def until_told(broker: MemoryBroker, plugins: Plugins) -> None:
    await broker.topics().create(["results", "tasks-dlq"], 1, 1)
    options = RunOptions(settings=Settings(), broker=broker, plugins=plugins, handle_signals=False)
    running = asyncio.ensure_future(run_workers([Counting], options))
    async with asyncio.timeout(100):
        while len(TOLD) < 3:  # noqa: ASYNC110 - told by a plain function
            await asyncio.sleep(1)
    running.cancel()
    await asyncio.wait([running])


def test_metrics() -> None:
    def metrics(snapshot: Any) -> None:
        TOLD.append(snapshot.workers[0].counters["succeeded"])

    assert told_to(metrics, GOOD, LATE)[-1] == 2


def test_redact() -> None:
    def redact(key: bytes | None, topic: str) -> tuple[bytes | None, bytes | None]:
        return key, topic.encode()

    plugin = type("Plugin", (), {"redact": staticmethod(hookimpl(redact))})()
    assert check(plugin) == ("redact",)
    report = PluginReport("one", "one 1.0", plugin=plugin)
    shown = redaction_by(Plugins([report], Settings()))("payments", b"k", b"secret")
    assert shown == (b"k", b"payments")


def test_wrap_process() -> None:
    async def wrap_process(call_next: Callable[..., Awaitable[Any]], message: Any, context: Any) -> Any:
        TOLD.append(("before", message["n"]))
        result = await call_next({"n": 1}, context)
        TOLD.append(("after", result))
        return result

    assert told_to(wrap_process, BAD) == [("before", 3), ("after", 1)]


def test_serve() -> None:
    async def serve(snapshot: Callable[[], Any]) -> None:
        await asyncio.sleep(0)
        TOLD.append(snapshot().workers[0].condition.value)

    assert told_to(serve, GOOD) == ["starting"]


def test_what_serve_raises_stops_the_start() -> None:
    def serve() -> None:
        raise OSError("no port")

    with pytest.raises(PluginError, match="serve raised OSError: no port; correct what it needs"):
        told_to(serve, GOOD)


def test_register_brokers() -> None:
    def register_brokers() -> dict[str, Any]:
        return {"acme": lambda settings: MemoryBroker({settings.kafka_broker: 1})}

    broker = broker_of(Settings(kafka_broker="acme"), registered_by(register_brokers))
    assert asyncio.run(broker.topics().missing(["acme"])) == []


def test_register_codecs() -> None:
    def register_codecs() -> dict[str, Any]:
        return {"hex": Codec(lambda data, kind: kind(data.hex()), bytes.fromhex)}

    (offer,) = registered_by(register_codecs).codecs.offers
    assert offer.thing.decoder_for(str | None)(b"\xff") == "ff"
    assert offer.thing.encoder("ff") == b"\xff"


def test_register_commands() -> None:
    def register_commands() -> dict[str, Any]:
        return {"audit": click.Command("audit")}

    assert list(commands_of(the_report(register_commands))) == ["audit"]


def the_report(implementation: Callable[..., Any]) -> PluginReport:
    plugin = type("Plugin", (), {implementation.__name__: staticmethod(hookimpl(implementation))})()
    hooks = check(plugin)
    return PluginReport(
        "p", "test 1", hooks=hooks, plugin=plugin, offers=offers_of(plugin, hooks, "p (test 1)")
    )


def registered_by(implementation: Callable[..., Any]) -> Registrations:
    return registrations([the_report(implementation)])


def test_configure() -> None:
    # Called by ``load`` only, with the plugin's section: see plugins/test_manager.py. Here: it is not called by a run.
    def configure(config: Any) -> None:
        TOLD.append(config)

    assert told_to(configure, GOOD) == []


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_documented_with_its_exact_signature_and_has_a_test_named_after_it(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"`{hook}({arguments})`" in DOCUMENTED
    assert f"test_{hook}" in globals()


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_each_hook_runs_and_is_an_implementation_of_it(hook: str) -> None:
    assert check(example_of(hook)) == (hook,)


@pytest.mark.parametrize("hook", [*hookspecs.OBSERVERS, "serve", "wrap_process"])
def test_the_example_of_each_hook_does_what_it_says_beside_a_worker(hook: str) -> None:
    loaded = plugins(example=example_of(hook))
    results: list[Any] = []

    async def test() -> None:
        async with at_work(loaded, *MESSAGES) as broker:
            results.extend(broker.records("results"))

    run_virtually(test())
    assert len(results) == 4
    called = [(each.hook, each.failures) for each in loaded.calls() if each.calls]
    assert called == [(hook, 0)]


def example_of(hook: str) -> Any:
    """The example in the docstring of *hook*, run, as a plugin."""
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    scope: dict[str, Any] = {"hookimpl": hookimpl}
    found = doctest.DocTestParser().get_doctest(text, scope, hook, None, None)
    assert found.examples
    assert doctest.DocTestRunner().run(found, clear_globs=False).failed == 0
    return type("Example", (), {hook: staticmethod(found.globs[hook])})()


def test_the_table_of_the_documentation_names_no_hook_that_does_not_exist() -> None:
    rows = [line for line in DOCUMENTED.splitlines() if re.match(r"\| `\w+\(", line)]
    assert set(re.findall(r"`(\w+)\(", " ".join(row.split("|")[1] for row in rows))) == set(HOOKS)
