"""Runs a worker with the real engine on a broker in memory: messages go in, their outcome comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

from core_messaging.codecs import encode
from core_messaging.config import WorkerConfig
from core_messaging.errors import ConfigurationError, NotFinished, NoWorker
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.hook_check import check
from core_messaging.plugins.manager import PluginReport, Plugins, find
from core_messaging.plugins.registrations import offers_of
from core_messaging.records import Outgoing, Record, TopicPartition, coordinates_of
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.outcome import DeadLetter, HookCall, Outcome
from core_messaging.testing.recorder import NoHooks, Recorder, watched
from core_messaging.testing.virtual_clock import InlineThreads, VirtualLoop, run_virtually
from core_messaging.worker import Worker, as_worker, config_of, with_config

# A value, a pair (key, value), a mapping (sent as JSON), or a whole record with headers, topic and partition.
Message = bytes | None | tuple[bytes | None, bytes | None] | Mapping[str, Any] | Outgoing

PATIENCE = 10.0  # seconds in which all messages must be finished
VIRTUAL_PATIENCE = 20_000.0  # the same on a virtual clock, where long delays of retries cost no time
SHORT = 0.02  # seconds between two checks, and between commits, where the clock is real


class Workbench:
    """A worker that runs in a test. ``running`` makes it. ``broker``: the MemoryBroker that it uses."""

    def __init__(self, worker: type[Worker], plugins: Sequence[Any]) -> None:
        self._config = config = config_of(worker)
        self.broker = MemoryBroker(dict.fromkeys(config.topics, 1))
        self._recorder = Recorder(config)
        self._calls: list[HookCall] = []
        self._plugins = [watched(plugin, self._calls) for plugin in plugins]
        self._task: asyncio.Task[None] | None = None
        self._worker = worker

    def put(self, *messages: Message) -> None:
        """Store *messages* in the first input topic; an Outgoing names its own topic.

        Raises RecordRefused; ConfigurationError for a message without a topic where the worker reads topics by a pattern.
        """
        for message in messages:
            if not (isinstance(message, Outgoing) or self._config.input_topics):
                raise ConfigurationError(
                    f"{self._config.name} reads {self._config.inputs}, so a message has to name its topic; write "
                    "Outgoing(topic, value)"
                )
            record = _outgoing(message, next(iter(self._config.input_topics), ""))
            self.broker.put(record.topic, record.value, record.key, record.headers, record.partition)

    async def until_finished(self, patience: float | None = None) -> None:
        """Wait until all messages are settled and committed.

        *patience*: seconds, 10 by default (20,000 on a virtual clock).

        Raises NotFinished after that time, and the error that the worker stopped with, if it did.
        """
        virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
        limit = patience or (VIRTUAL_PATIENCE if virtual else PATIENCE)
        try:
            async with asyncio.timeout(limit) as scope:
                while self._uncommitted():
                    self.raise_if_stopped()
                    await asyncio.sleep(1.0 if virtual else SHORT)
        except TimeoutError:
            if scope.expired():
                raise NotFinished(limit, self._unfinished()) from None
            raise

    def outcome(self) -> Outcome:
        """Return what has happened so far."""
        output = self._config.output_topic
        return Outcome(
            successes=tuple(self._recorder.successes),
            retries=tuple(self._recorder.retries),
            failures=tuple(self._recorder.failures),
            dead_letters=tuple(self._dead_letters()),
            results=tuple(self.broker.records(output)) if output else (),
            committed=self._committed(),
            calls=tuple(self._calls),
            broker=self.broker,
        )

    def start(self) -> None:
        """Run the worker in this event loop: with its delays on a virtual clock, without them on a real clock."""
        virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
        worker = self._worker if virtual else _undelayed(self._worker)
        options = _options(self._config, self.broker, [self._recorder, *self._plugins], virtual=virtual)
        self._task = asyncio.ensure_future(run_workers([worker], options))

    async def stop(self) -> None:
        """Stop the worker in order: messages that are being processed may finish."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def raise_if_stopped(self) -> None:
        """Raise the error that the worker stopped with by itself, if it did."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    def _input(self) -> Iterable[Record]:
        return (record for topic in self._inputs() for record in self.broker.records(topic))

    def _inputs(self) -> tuple[str, ...]:
        pattern = self._config.topic_pattern()
        return self._config.input_topics if pattern is None else pattern.found_in(self.broker.topic_names)

    def _committed(self) -> dict[TopicPartition, int]:
        return {
            TopicPartition(topic, partition): commit.offset
            for topic in self._inputs()
            for partition, commit in self.broker.committed(self._config.group_id, topic).items()
        }

    def _uncommitted(self) -> list[str]:
        done = self._committed()
        return [
            coordinates_of(record)
            for record in self._input()
            if record.offset >= done.get(TopicPartition(record.topic, record.partition), 0)
        ]

    def _unfinished(self) -> list[str]:
        settled = self._recorder.settled()
        late = self._uncommitted()
        return [coordinates for coordinates in late if coordinates not in settled] or late

    def _dead_letters(self) -> Iterable[DeadLetter]:
        for record in chain.from_iterable(map(self.broker.records, self._config.dlq_topics)):
            facts = dict(record.headers)
            place = _original(facts)
            # A record that the test put into the queue has no origin. One that no hook was called for yet has no error.
            if (error := self._recorder.dead_lettered.get(place)) is not None:
                yield DeadLetter(place, record.key, record.value, record.headers, error)


@asynccontextmanager
async def running(worker: object, *, plugins: Sequence[Any] = ()) -> AsyncIterator[Workbench]:
    """Run *worker* (a class, or a function under ``@worker``) inside the block, on a broker in memory.

    Retries have no delay unless the event loop has a virtual clock. Delays that a handler asks for itself (``RetryAfter``,
    its own sleep) are kept. *plugins*: objects or modules with hooks; ``configure`` is not called.

    Raises NoWorker, PluginError, and the error that the worker stopped with.
    """
    bench = Workbench(class_of(worker), plugins)
    bench.start()
    try:
        yield bench
    finally:
        await bench.stop()
    bench.raise_if_stopped()


async def process_all(worker: object, messages: Iterable[Message], *, plugins: Sequence[Any] = ()) -> Outcome:
    """Let *worker* process *messages* in this event loop, then stop it; see ``running``. Return what happened.

    Raises NotFinished, and the error that the worker stopped with.
    """
    async with running(worker, plugins=plugins) as bench:
        bench.put(*messages)
        await bench.until_finished()
    return bench.outcome()


def run(worker: object, messages: Iterable[Message], *, plugins: Sequence[Any] = ()) -> Outcome:
    """Let *worker* process *messages* as ``process_all`` does, from a plain function and on a virtual clock.

    Delays have their real length and cost no time. Handlers must not wait for anything real (network, other threads). Plain
    ``def`` handlers run in the thread of the caller.

    Raises NotFinished, LoopRunning inside a running event loop, SimulationStuck, and what the worker stopped with.
    """
    return run_virtually(process_all(worker, messages, plugins=plugins))


def run_with(plugin: Any, worker: object, messages: Iterable[Message]) -> Outcome:
    """Let *worker* process *messages* as ``run`` does, with *plugin* (a module or an object) loaded.

    ``outcome.calls`` are the hooks that were called, with their arguments and errors. ``configure`` is not called; call it
    yourself.

    Raises PluginError where a hook is wrong, NotFinished where a message never finishes.
    """
    return run(worker, messages, plugins=[plugin])


def class_of(thing: object) -> type[Worker]:
    """Return the worker class of *thing*, a class or a decorated function. Raises NoWorker."""
    """The worker class behind a class or a function under ``@worker``. Raises NoWorker."""
    found = as_worker(thing)
    if found is None:
        raise NoWorker(thing)
    return found


def _outgoing(message: Message, topic: str) -> Outgoing:
    match message:
        case Outgoing():
            return message
        case (key, value):
            return Outgoing(topic, value, key)
        case None | bytes():
            return Outgoing(topic, message)
        case _:
            return Outgoing(topic, encode(message))


def _undelayed(worker: type[Worker]) -> type[Worker]:
    """Return *worker* without delays between attempts, and with a short wait for full batches."""
    return with_config(worker, _without_delays(config_of(worker)))


def _without_delays(config: WorkerConfig) -> WorkerConfig:
    policy = replace(config.retry_policy, initial_delay=0.0, jitter=0.0)
    return replace(config, retry_backoff=policy, batch_timeout=min(config.batch_timeout, SHORT))


def _options(
    config: WorkerConfig, broker: MemoryBroker, plugins: Sequence[Any], *, virtual: bool
) -> RunOptions:
    # The environment of tests often sets KAFKA_ENABLED=false. The workbench does not use Kafka, so it ignores that.
    settings = Settings(kafka_enabled=True) if virtual else _quick_settings()
    reports = [_report(number, plugin) for number, plugin in enumerate(plugins)]
    if config.codec is not None:
        reports += _codecs_of_others(settings, reports)
    return RunOptions(
        settings=settings,
        broker=broker,
        plugins=Plugins(reports, settings),
        handle_signals=False,
        threads=InlineThreads(1) if virtual else None,
    )


def _report(number: int, plugin: Any) -> PluginReport:
    name, hooks = f"plugin-{number}", check(plugin)
    return PluginReport(name, "under test", hooks=hooks, plugin=plugin, offers=offers_of(plugin, hooks, name))


def _codecs_of_others(settings: Settings, tested: Sequence[PluginReport]) -> list[PluginReport]:
    """Return the codecs of installed plugins without their hooks. A plugin under test with the same name comes first."""
    taken = {offer.name for report in tested for offer in report.offers.get("codec", ())}
    found = ((report, report.offers.get("codec", ())) for report in find(settings) if report.usable)
    return [
        PluginReport(report.name, report.label, plugin=NoHooks(), offers={"codec": free})
        for report, offers in found
        if (free := tuple(offer for offer in offers if offer.name not in taken))
    ]


def _quick_settings() -> Settings:
    return Settings(kafka_enabled=True, commit_interval=SHORT, shutdown_timeout=PATIENCE)


def _original(facts: Mapping[str, bytes]) -> str:
    topic, partition, offset = (
        facts.get(f"core-original-{name}", b"").decode() for name in ("topic", "partition", "offset")
    )
    return f"{topic}[{partition}]@{offset}"
