"""Runs the workers of one process until they are asked to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import Any

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
from core_messaging.runtime.announcements import (
    say_ends,
    say_joining,
    say_shared_groups,
    say_stopped,
    say_waiting,
)
from core_messaging.runtime.dump_signal import dumps_on_signal
from core_messaging.runtime.fleet_member import FleetMember, control_topics
from core_messaging.runtime.loop_watchdog import LoopGuard
from core_messaging.runtime.process_commands import ProcessCommands
from core_messaging.runtime.process_dump import dump_of
from core_messaging.runtime.process_exit import DRAINED
from core_messaging.runtime.run_options import RunOptions
from core_messaging.runtime.signals import on_signals
from core_messaging.runtime.topic_check import check_topics
from core_messaging.runtime.worker_names import told_apart
from core_messaging.snapshot import Snapshot
from core_messaging.worker import Worker, config_of

__all__ = ["RunOptions", "run_workers"]

logger = logging.getLogger("core_messaging.worker")

# Seconds beyond shutdown_timeout in which a handler that was cancelled has to end, and the broker to answer.
GRACE = 3.0
NAMED = 5  # messages
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
        self.engines: list[Engine] = []
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._tasks: list[asyncio.Task[None]] = []
        self._starting: asyncio.Task[None] | None = None
        self._for_good = False  # drained, and not to be started again
        self._asked = False  # to stop, by a signal, by the program, or by a worker that fails
        self._phase = ""  # what the run waits for before the workers begin and after they have ended
        self._limit: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        _runs.add(self)
        with self._signals(), exits_contained(self._loop):
            try:
                async with AsyncExitStack() as closing:
                    await self._run(closing)
            finally:
                _runs.discard(self)
                if self._limit is not None:
                    self._limit.cancel()
        if self._for_good and self._options.orders is not None:
            self._exit(DRAINED)

    async def _run(self, closing: AsyncExitStack) -> None:
        options = self._options
        if options.plugins is not None:
            closing.push_async_callback(self._close, "the plugins' close()", options.plugins.close)
        closing.push_async_callback(self._close, "closing the producers", self._close_producers)
        if not options.settings.kafka_enabled:
            raise KafkaDisabled("running workers")
        registered = options.plugins.registrations() if options.plugins else None
        codecs = codecs_of([config_of(worker) for worker in self._workers], options.settings, registered)
        broker = options.broker or broker_of(options.settings, registered)
        publisher = watched(broker.publisher())
        # The producer goes last: a drained worker may still be dead-lettering.
        closing.push_async_callback(self._close, "closing the producer", publisher.close)
        say_shared_groups(self._configs)
        if await self._begin(broker, publisher):
            self._make_engines(broker, publisher, codecs)
            await self._work()

    def _control(self) -> list[Topic]:
        """The topics of the fleet: on Kafka, where one is named."""
        real = self._options.broker is None and self._options.settings.kafka_broker == KAFKA
        return control_topics(self._options.settings) if real else []

    async def _close_producers(self) -> None:
        """The last run of this loop does; the handlers of another one may be sending."""
        if not any(run is not self and run.is_in(self._loop) for run in _runs):
            await close_producers()

    def is_in(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it runs in *loop*."""
        return self._loop is loop

    async def _close(self, phase: str, close: Callable[[], Awaitable[None]]) -> None:
        self._phase = phase
        await close()

    async def _begin(self, broker: Broker, publisher: Publisher) -> bool:
        """Find the broker and its topics. False: asked to stop meanwhile."""
        return await self._unless_asked("finding the broker", self._start(broker, publisher))

    async def _unless_asked(self, phase: str, step: Coroutine[Any, Any, None]) -> bool:
        """Do one step of the start. False: asked to stop meanwhile; a task of its own, so that it can be left."""
        self._phase = phase
        self._starting = asyncio.create_task(step, name="start")
        try:
            await self._starting
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if not self._asked or (mine is not None and mine.cancelling()):
                raise
        # False if the request came after the task had ended: there was nothing to cancel.
        return not self._asked

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
            commands = ProcessCommands(self._loop, self.drain, self.dump)
            self._member = FleetMember(settings, publisher, self.snapshot, self._apply_pauses, commands)
        around = SharedResources(
            pauses=self._member or NoPauses(),
            control_topic=next(iter(self._control()), None),
            broker=broker,
            publisher=publisher,
            codecs=codecs,
            settings=settings,
            threads=self._threads,
            observers=self._observers,
            ends=self._ends,
        )
        self.engines = [
            Engine(_made(worker), config, around)
            for worker, config in zip(self._workers, self._configs, strict=True)
        ]

    async def _work(self) -> None:
        with LoopGuard():
            self._phase = "the plugins' serve"
            if self._options.plugins is not None:
                await self._options.plugins.serve(self.snapshot)
            reporter = asyncio.create_task(self._report_forever(), name="metrics")
            try:
                async with self._in_the_fleet():
                    await self._run_all()
            finally:
                reporter.cancel()
                self._phase = "the plugins' metrics"
                await self._report()
                if self._threads is not None:
                    self._threads.shutdown()
                self._say_stopped()

    @asynccontextmanager
    async def _in_the_fleet(self) -> AsyncIterator[None]:
        """Obey the control topic inside the block, from its first message on: what is paused there is not fetched."""
        if self._member is None:
            yield
            return
        ready = asyncio.Event()
        task = asyncio.create_task(self._member.run(ready), name="fleet")
        try:
            await self._unless_asked("reading the control topic", self._member.wait_until_read(ready))
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
        workers = tuple(engine.snapshot() for engine in self.engines)
        plugins = self._options.plugins
        hooks = tuple(plugins.calls()) if plugins else ()
        return Snapshot(time.time(), workers, self._options.degraded, hooks)

    async def _run_all(self) -> None:
        if self._asked:  # while plugins were starting
            return
        self._tasks = [asyncio.create_task(engine.run(), name=engine.config.name) for engine in self.engines]
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            # One that failed takes the others down in order, so that nothing runs half-supervised.
            self._request_stop()
            self._limit_the_end()
            outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    def _say_stopped(self) -> None:
        for engine in (each for each in self.engines if each.is_stopped):
            say_stopped(engine.snapshot(), engine.given_back)

    def _apply_pauses(self) -> None:
        for engine in self.engines:
            engine.apply_pauses()

    def forked(self) -> None:
        """This is a forked child, which ends when it would go on with the parent's event loop."""
        for engine in self.engines:
            engine.forked()
        self._loop.call_soon(leave_forked_child, None)

    def _ends(self, worker: str, error: BaseException) -> None:
        """A worker begins to end by itself. Logged now, because its end may take long, and the process ends with it."""
        if not self._asked:
            say_ends(worker, error, [each.config.name for each in self.engines if each.config.name != worker])
        self._request_stop()
        self._limit_the_end()

    def _request_stop(self) -> None:
        self._asked = True
        for engine in self.engines:
            engine.request_stop()

    def _signals(self) -> AbstractContextManager[None]:
        if not self._options.handle_signals:
            return nullcontext()
        return self._handled_signals()

    @contextmanager
    def _handled_signals(self) -> Iterator[None]:
        stopping = on_signals(self._first_signal, self._second_signal, self._options.orders)
        with dumps_on_signal(self.dump), stopping:
            yield

    def _first_signal(self, number: signal.Signals) -> None:
        begun = "" if self.engines else "; nothing had begun"
        self._stop(f"{number.name}: stopping{self._waits_for()}{begun}. Again to leave at once")

    def dump(self) -> str:
        """What this process does at this moment, in lines for people."""
        return dump_of([each.dump for each in self.engines], self._loop)

    def drain(self, *, for_good: bool) -> None:
        """Stop in order, because a person has asked for it through the control topic.

        *for_good*: a supervisor does not start the process again.
        """
        self._for_good = for_good
        self._stop(f"drain: stopping{self._waits_for()}")

    def _waits_for(self) -> str:
        held_up, seconds = self._running() or self._phases(), self._options.settings.shutdown_timeout
        return f", waiting up to {seconds:g} s for {held_up}" if held_up else ""

    def _stop(self, why: str) -> None:
        logger.info("%s", why, extra={"action": "draining"})
        self._request_stop()
        if self._starting is not None:
            self._starting.cancel()
        self._limit_the_end()

    def _limit_the_end(self) -> None:
        """A handler that swallows its cancellation cannot be ended from inside the loop, and a broker that is silent has its time for the last commit, the leave and the last records, one after the other."""
        if self._options.exit_now is not None and self._limit is None:
            seconds = self._options.settings.shutdown_timeout + GRACE
            self._limit = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        running = self._running()
        seconds = self._options.settings.shutdown_timeout + GRACE
        why = f"{running}, not ended or not acknowledged" if running else self._phases() or self._phase
        logger.error(
            "leaving: stopping took longer than %g s (%s); messages that are not committed are delivered again",
            seconds,
            why,
            extra={"action": "killed"},
        )
        self._exit(1)

    def _phases(self) -> str:
        """Which workers are held up by something else than messages, and by what."""
        return ", ".join(f"{each.config.name} in {each.phase}" for each in self.engines if each.phase)

    def _running(self) -> str:
        """What a shutdown waits for, in words; empty if for nothing."""
        jobs = [f"{each.config.name} on {job}" for each in self.engines for job in each.running()]
        return f"{len(jobs)} running: {', '.join(jobs[:NAMED])}{' ...' * (len(jobs) > NAMED)}" if jobs else ""

    def _second_signal(self, number: signal.Signals) -> None:
        logger.warning(
            "%s again: leaving at once; messages that run are not committed and will be delivered again",
            number.name,
            extra={"action": "killed"},
        )
        self._exit(128 + number)

    def _exit(self, code: int) -> None:
        if self._options.exit_now is not None:
            self._options.exit_now(code)
        else:
            # Ours only: the loop may be a host's. Each of them, because whoever waits for another one hears of it late.
            for task in (self._task, *self._tasks):
                if task is not None:
                    task.cancel()


def _made(worker: type[Worker]) -> Worker:
    try:
        return worker()
    except BaseException as error:  # also a SystemExit: nothing of ours runs in there
        config = config_of(worker)
        WorkerLog(config.name).raised("constructor failed", "its constructor", error)
        raise BrokenWorker.by(config.name, config.source, "its constructor", error) from error
