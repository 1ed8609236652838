"""Runs the workers of one process until they are asked to stop."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING

from core_messaging.broker import Broker, Publisher
from core_messaging.codecs import Codec
from core_messaging.concurrency.exit_containment import exits_contained
from core_messaging.concurrency.fork_safety import in_forked_child, leave_forked_child
from core_messaging.engine.engine import Engine
from core_messaging.engine.handler_threads import ProcessThreads
from core_messaging.engine.pauses import NoPauses
from core_messaging.engine.shared_resources import SharedResources
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.errors import BrokenWorker, KafkaDisabled
from core_messaging.observers import NOBODY, Observers, tell
from core_messaging.options import Topic
from core_messaging.plugins.factories import broker_of, codecs_of
from core_messaging.plugins.publisher_watch import watched
from core_messaging.plugins.registrations import KAFKA
from core_messaging.producer import close_producers
from core_messaging.runtime.announcements import say_joining, say_shared_groups, say_waiting
from core_messaging.runtime.dump_signal import dumps_on_signal
from core_messaging.runtime.engines import Engines
from core_messaging.runtime.loop_watchdog import LoopGuard
from core_messaging.runtime.process_dump import dump_of
from core_messaging.runtime.run_options import RunOptions
from core_messaging.runtime.shutdown import Shutdown
from core_messaging.runtime.signals import on_signals
from core_messaging.runtime.topic_check import check_topics
from core_messaging.runtime.worker_names import told_apart
from core_messaging.snapshot import Snapshot
from core_messaging.worker import Worker, config_of

if TYPE_CHECKING:
    from core_messaging.runtime.fleet_member import FleetMember

__all__ = ["RunOptions", "run_workers"]

SILENT = 2.0  # seconds after which a broker that is waited for is named


async def run_workers(workers: Sequence[type[Worker]], options: RunOptions) -> None:
    """Run *workers* in this event loop until SIGINT, SIGTERM, SIGHUP or a failure; all of them stop together.

    Raises KafkaDisabled, ConfigurationError, BrokerUnreachable, BrokerRefused, TopicMissing, BrokenWorker before
    anything starts, RetriesExhausted or ShutdownTimeout afterwards.
    """
    await _Run(workers, options).run()


# Weak: a run that nothing refers to is over.
_runs: weakref.WeakSet[_Run] = weakref.WeakSet()


def _forget_runs() -> None:
    for run in tuple(_runs):
        run.forked()
    _runs.clear()


in_forked_child(_forget_runs)


class _Run:
    """All engines of one process, from the first look for a broker until everything is closed."""

    def __init__(self, workers: Sequence[type[Worker]], options: RunOptions) -> None:
        self._workers, self._options = workers, options
        self._configs = told_apart(workers)
        self._threads: ProcessThreads | None = None
        self._member: FleetMember | None = None
        self._observers: Observers = options.plugins.observers() if options.plugins else NOBODY
        self._engines = Engines()
        self._shutdown = Shutdown(self._engines, options)
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        _runs.add(self)
        with self._signals(), exits_contained(self._loop):
            try:
                async with AsyncExitStack() as closing:
                    await self._run(closing)
            finally:
                _runs.discard(self)
                self._shutdown.over()
        self._shutdown.leave_for_good()

    async def _run(self, closing: AsyncExitStack) -> None:
        options, close = self._options, self._shutdown.close
        if options.plugins is not None:
            closing.push_async_callback(close, "the plugins' close()", options.plugins.close)
        closing.push_async_callback(close, "closing the producers", self._close_producers)
        if not options.settings.kafka_enabled:
            raise KafkaDisabled("running workers")
        registered = options.plugins.registrations() if options.plugins else None
        codecs = codecs_of([config_of(worker) for worker in self._workers], options.settings, registered)
        broker = options.broker or broker_of(options.settings, registered)
        publisher = watched(broker.publisher())
        # The producer goes last: a drained worker may still be dead-lettering.
        closing.push_async_callback(close, "closing the producer", publisher.close)
        say_shared_groups(self._configs)
        if await self._begin(broker, publisher):
            self._make_engines(broker, publisher, codecs)
            await self._work()

    def _control(self) -> list[Topic]:
        """The topics of the fleet: on Kafka, where one is named."""
        real = self._options.broker is None and self._options.settings.kafka_broker == KAFKA
        if not real or self._options.settings.kafka_control_topic is None:
            return []
        from core_messaging.runtime.fleet_member import control_topics  # noqa: PLC0415 - few processes need it

        return control_topics(self._options.settings)

    async def _close_producers(self) -> None:
        """The last run of this loop does; the handlers of another one may be sending."""
        if not any(run is not self and run.is_in(self._loop) for run in _runs):
            await close_producers()

    def is_in(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it runs in *loop*."""
        return self._loop is loop

    async def _begin(self, broker: Broker, publisher: Publisher) -> bool:
        """Find the broker and its topics. False: asked to stop meanwhile."""
        return await self._shutdown.unless_requested("finding the broker", self._start(broker, publisher))

    async def _start(self, broker: Broker, publisher: Publisher) -> None:
        # The client names a Kafka broker that does not answer. Another broker is named here.
        silent = asyncio.get_running_loop().call_later(SILENT, say_waiting, self._configs, broker.address)
        if self._options.settings.kafka_broker == KAFKA:
            silent.cancel()
        try:
            await check_topics(
                self._workers,
                broker,
                self._options.settings,
                self._control(),
                create=self._options.create_topics,
            )
            await publisher.start()
        finally:
            silent.cancel()
        say_joining(self._configs, broker.address)

    def _make_engines(self, broker: Broker, publisher: Publisher, codecs: Mapping[str, Codec]) -> None:
        settings = self._options.settings
        self._threads = ProcessThreads(settings.handler_threads, self._options.threads)
        if self._control():
            from core_messaging.runtime.fleet_member import FleetMember  # noqa: PLC0415 - as above
            from core_messaging.runtime.process_commands import ProcessCommands  # noqa: PLC0415

            commands = ProcessCommands(self._loop, self._shutdown.drain, self.dump, self._engines.retry_now)
            self._member = FleetMember(
                settings, publisher, self.snapshot, self._engines.apply_pauses, commands
            )
        around = SharedResources(
            pauses=self._member or NoPauses(),
            control_topic=next(iter(self._control()), None),
            broker=broker,
            publisher=publisher,
            codecs=codecs,
            settings=settings,
            threads=self._threads,
            observers=self._observers,
            ends=self._shutdown.worker_ends,
        )
        self._engines.use(
            [
                Engine(_made(worker), config, around)
                for worker, config in zip(self._workers, self._configs, strict=True)
            ]
        )

    async def _work(self) -> None:
        with LoopGuard():
            self._shutdown.enter("the plugins' serve")
            if self._options.plugins is not None:
                await self._options.plugins.serve(self.snapshot)
            reporter = asyncio.create_task(self._report_forever(), name="metrics")
            try:
                async with self._in_the_fleet():
                    if not self._shutdown.is_requested:  # while plugins were starting
                        await self._engines.run(self._shutdown.request)
            finally:
                reporter.cancel()
                self._shutdown.enter("the plugins' metrics")
                await self._report()
                if self._threads is not None:
                    self._threads.shutdown()
                self._engines.say_stopped()

    @asynccontextmanager
    async def _in_the_fleet(self) -> AsyncIterator[None]:
        """Obey the control topic inside the block, from its first message on: what is paused there is not fetched."""
        if self._member is None:
            yield
            return
        ready = asyncio.Event()
        task = asyncio.create_task(self._member.run(ready), name="fleet")
        try:
            await self._shutdown.unless_requested(
                "reading the control topic", self._member.wait_until_read(ready)
            )
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(self._options.settings.metrics_interval)
            await self._report()

    async def _report(self) -> None:
        """Tell the plugins in numbers how it goes; what it costs does not depend on the message rate."""
        told = self._observers.metrics
        if told is not None:
            await tell(told, snapshot=self.snapshot())

    def snapshot(self) -> Snapshot:
        """The state of the moment, without asking the broker."""
        plugins = self._options.plugins
        hooks = tuple(plugins.calls()) if plugins else ()
        return Snapshot(time.time(), self._engines.snapshots(), self._options.degraded, hooks)

    def forked(self) -> None:
        """This is a forked child, which ends when it would go on with the parent's event loop."""
        self._engines.forked()
        self._loop.call_soon(leave_forked_child, None)

    def _signals(self) -> AbstractContextManager[None]:
        if not self._options.handle_signals:
            return nullcontext()
        return self._handled_signals()

    @contextmanager
    def _handled_signals(self) -> Iterator[None]:
        stopping = on_signals(self._shutdown.first_signal, self._shutdown.second_signal, self._options.orders)
        with dumps_on_signal(self.dump), stopping:
            yield

    def dump(self) -> str:
        """What this process does at this moment, in lines for people."""
        return dump_of(self._engines.dumps(), self._loop)


def _made(worker: type[Worker]) -> Worker:
    try:
        return worker()
    except BaseException as error:  # also a SystemExit: nothing of ours runs in there
        config = config_of(worker)
        WorkerLog(config.name).raised("constructor failed", "its constructor", error)
        raise BrokenWorker.by(config.name, config.source, "its constructor", error) from error
