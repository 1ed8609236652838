"""Puts the parts together and runs workers until they are asked to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from core_messaging.broker import Broker, Publisher
from core_messaging.choosing import broker_of, codecs_of
from core_messaging.codecs import Codec
from core_messaging.engine.engine import Engine, Surroundings
from core_messaging.errors import BrokenWorker, KafkaDisabled, TopicMissing
from core_messaging.loop_guard import LoopGuard
from core_messaging.observers import NOBODY, Observers, ObserverSource, tell
from core_messaging.producer import close_producers
from core_messaging.settings import Settings
from core_messaging.signals import on_signals
from core_messaging.snapshot import Snapshot
from core_messaging.worker import Worker, config_of

logger = logging.getLogger("core_messaging.worker")

# Seconds beyond shutdown_timeout in which a handler that was cancelled has to end, and the broker to answer.
GRACE = 3.0
NAMED = 5  # messages


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to run. ``broker`` None: what ``settings.kafka_broker`` names, Kafka at first.

    ``degraded`` names what should run and does not (broken packages under --skip-broken); health reports it.
    ``exit_now`` is called with an exit code when there is no time left for a clean end; None: never.
    ``threads``: where plain ``def`` handlers run, None: in ``settings.handler_threads`` threads of their own.
    """

    settings: Settings
    create_topics: bool = False
    broker: Broker | None = None
    plugins: ObserverSource | None = None
    handle_signals: bool = True
    degraded: tuple[str, ...] = ()
    exit_now: Callable[[int], Any] | None = None
    threads: ThreadPoolExecutor | None = None


async def run_workers(workers: Sequence[type[Worker]], options: RunOptions) -> None:
    """Run *workers* in this event loop until SIGINT, SIGTERM or a failure; all of them stop together.

    Raises KafkaDisabled, ConfigurationError, BrokerUnreachable, BrokerRefused, TopicMissing, BrokenWorker before
    anything starts, RetriesExhausted or ShutdownTimeout afterwards.
    """
    settings = options.settings
    if not settings.kafka_enabled:
        raise KafkaDisabled("running workers")
    registered = options.plugins.registrations() if options.plugins else None
    codecs = codecs_of([config_of(worker) for worker in workers], settings, registered)
    broker = options.broker or broker_of(settings, registered)
    await _check_topics(workers, broker, options)
    publisher = broker.publisher()
    try:
        await publisher.start()
        around = _Around(broker, publisher, codecs)
        await _Run(workers, around, options).run()
    finally:
        # The producer goes last: a drained worker may still be dead-lettering.
        await publisher.close()
        await close_producers()
        if options.plugins is not None:
            await options.plugins.close()


async def _check_topics(workers: Sequence[type[Worker]], broker: Broker, options: RunOptions) -> None:
    """A topic that is missing would show up as silence, or as a dead letter that cannot be written."""
    wanted = tuple(dict.fromkeys(topic for worker in workers for topic in config_of(worker).topics))
    topics = broker.topics()
    missing = await topics.missing(wanted)
    if not missing:
        return
    if not options.create_topics:
        raise TopicMissing(missing, broker.address)
    settings = options.settings
    await topics.create(missing, settings.kafka_topic_partitions, settings.kafka_topic_replication)
    logger.info("created topics %s", ", ".join(missing), extra={"action": "topics created"})


@dataclass(frozen=True, slots=True)
class _Around:
    """What was made before anything runs."""

    broker: Broker
    publisher: Publisher
    codecs: Mapping[str, Codec]


class _Run:
    """All engines of one process."""

    def __init__(self, workers: Sequence[type[Worker]], given: _Around, options: RunOptions) -> None:
        self._options = options
        self._threads = options.threads or ThreadPoolExecutor(
            options.settings.handler_threads, thread_name_prefix="core-handler"
        )
        self._observers: Observers = options.plugins.observers() if options.plugins else NOBODY
        around = Surroundings(
            broker=given.broker,
            publisher=given.publisher,
            codecs=given.codecs,
            settings=options.settings,
            threads=self._threads,
            observers=self._observers,
        )
        self.engines = [Engine(_made(worker), config_of(worker), around) for worker in workers]

    async def run(self) -> None:
        with self._signals(), LoopGuard():
            if self._options.plugins is not None:
                await self._options.plugins.serve(self.snapshot)
            reporter = asyncio.create_task(self._report_forever(), name="metrics")
            try:
                await self._run_all()
            finally:
                reporter.cancel()
                await self._report()
                # Not waited for: a thread that hangs has had its shutdown_timeout already.
                self._threads.shutdown(wait=False, cancel_futures=True)

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
        workers = tuple(engine.snapshot() for engine in self.engines)
        plugins = self._options.plugins
        hooks = tuple(plugins.calls()) if plugins else ()
        return Snapshot(time.time(), workers, self._options.degraded, hooks)

    async def _run_all(self) -> None:
        tasks = [asyncio.create_task(engine.run(), name=engine.config.name) for engine in self.engines]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            # One that failed takes the others down in order, so that nothing runs half-supervised.
            self._request_stop()
            if not all(task.done() for task in tasks):
                self._limit_the_end()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    def _request_stop(self) -> None:
        for engine in self.engines:
            engine.request_stop()

    def _signals(self) -> AbstractContextManager[None]:
        if not self._options.handle_signals:
            return nullcontext()
        return on_signals(self._first_signal, self._second_signal)

    def _first_signal(self, number: signal.Signals) -> None:
        running, seconds = self._running(), self._options.settings.shutdown_timeout
        logger.info(
            "%s: stopping%s. Again to leave at once",
            number.name,
            f", waiting up to {seconds:g} s for {running}" if running else "",
            extra={"action": "draining"},
        )
        self._request_stop()
        self._limit_the_end()

    def _limit_the_end(self) -> None:
        """A handler that swallows its cancellation cannot be ended from inside the loop, and a broker that is silent
        has its time for the last commit, the leave and the last records, one after the other."""
        if self._options.exit_now is not None:
            seconds = self._options.settings.shutdown_timeout + GRACE
            asyncio.get_running_loop().call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        running = self._running()
        seconds = self._options.settings.shutdown_timeout + GRACE
        why = (
            f"{running}, not ended or not acknowledged"
            if running
            else "a silent broker, a teardown or a plugin"
        )
        logger.error(
            "leaving: stopping took longer than %g s (%s); what is not committed is delivered again",
            seconds,
            why,
            extra={"action": "killed"},
        )
        self._exit(1)

    def _running(self) -> str:
        """What a shutdown waits for, in words; empty if for nothing."""
        jobs = [f"{each.config.name} on {job}" for each in self.engines for job in each.running()]
        return f"{len(jobs)} running: {', '.join(jobs[:NAMED])}{' ...' * (len(jobs) > NAMED)}" if jobs else ""

    def _second_signal(self, number: signal.Signals) -> None:
        logger.warning(
            "%s again: leaving at once; what runs is not committed and will be delivered again",
            number.name,
            extra={"action": "killed"},
        )
        self._exit(128 + number)

    def _exit(self, code: int) -> None:
        if self._options.exit_now is not None:
            self._options.exit_now(code)
        else:
            for task in asyncio.all_tasks():
                task.cancel()


def _made(worker: type[Worker]) -> Worker:
    try:
        return worker()
    except Exception as error:
        config = config_of(worker)
        raise BrokenWorker.by(config.name, config.source, "its constructor", error) from error


def leave_at_once(code: int) -> None:
    """End this process now: no cleanup, no waiting for threads. For ``RunOptions.exit_now``."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
