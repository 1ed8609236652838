"""One worker at work: records in, one verdict a record out."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from core_messaging.broker import Subscription
from core_messaging.concurrency.cancellation import sole_cause, stopping_us
from core_messaging.config import WorkerConfig
from core_messaging.engine.assignments import AssignmentTable
from core_messaging.engine.committer import Committer
from core_messaging.engine.components import Components
from core_messaging.engine.handler import Handler, refuse_generator
from core_messaging.engine.monitor import Monitor
from core_messaging.engine.poison_pill import PoisonPillSearch
from core_messaging.engine.rebalance_listener import tell_revoked
from core_messaging.engine.run_state import NEXT, RunState
from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.engine.schedule_factory import scheduling_of
from core_messaging.engine.session import Session
from core_messaging.engine.settlement import Settlement
from core_messaging.engine.settlement_loop import SettlementRunners
from core_messaging.engine.shared_resources import SharedResources
from core_messaging.engine.timer import Timer
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.errors import (
    BrokenWorker,
    BrokerError,
    ConfigurationError,
    CoreMessagingError,
    ShutdownTimeout,
)
from core_messaging.observers import Tell, tell
from core_messaging.rules.job import Job
from core_messaging.rules.retry import RetryPolicy
from core_messaging.rules.schedule import Schedule
from core_messaging.snapshot import WorkerSnapshot
from core_messaging.worker import Worker

REOPEN = RetryPolicy(backoff="exponential", initial_delay=0.5, max_delay=30.0)
STEADY = 60.0  # seconds; a member that lived so long had no trouble of its own


class Engine:
    """Runs one worker until it is asked to stop or fails.

    ``run`` returns when all is over; ``request_stop`` only says that it should be, from anywhere on the loop,
    and is safe to repeat.
    """

    def __init__(self, worker: Worker, config: WorkerConfig, shared: SharedResources) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = worker
        self.config = config
        self._broker = shared.broker
        self._settings = shared.settings
        self._observers = shared.observers
        self.state = RunState.NEW
        runner_pool = RunnerPool(config.concurrency)
        one_by_one = getattr(worker, "process_batch", None) is None
        scheduling = scheduling_of(config, runner_pool, one_by_one=one_by_one)
        self._components = components = self._make_components(shared, runner_pool, scheduling.schedule)
        self.counters, self.schedule = components.counters, components.schedule
        self.runner_pool, self.assignment_table = components.runner_pool, components.assignment_table
        self._committer = Committer(components.worker_log, self.counters)
        settlement = Settlement(components)
        self._runners = scheduling.loop(components, settlement)
        self._settlement_runners = SettlementRunners(components, settlement)
        self._remarks = settlement.message_logger
        self._poison_pill_search = PoisonPillSearch(components, self._committer)
        self._watch = Monitor(components)
        self._session: Session | None = None
        self._stop = asyncio.Event()
        self._setting_up: asyncio.Timeout | None = None  # while setup() runs; its end cancels it
        self._failure: Exception | None = None
        self._ends = shared.ends
        self.phase = ""  # what of the user's code or of the broker holds it up, outside of messages
        self.given_back = 0  # messages in hand that were not finished when the worker left its group

    def _make_components(
        self, shared: SharedResources, runner_pool: RunnerPool, schedule: Schedule
    ) -> Components:
        return Components(
            config=self.config,
            handler=Handler(
                self._worker,
                self.config,
                shared.threads,
                shared.codecs.get(self.config.codec or ""),
            ),
            schedule=schedule,
            runner_pool=runner_pool,
            assignment_table=AssignmentTable(schedule),
            publisher=shared.publisher,
            observers=shared.observers,
            settings=shared.settings,
            loop=self._loop,
            timer=Timer(self._loop, schedule, runner_pool),
            worker_log=WorkerLog(self.config.name),
            fail=self._fail,
        )

    async def run(self) -> None:
        """Consume until stopped. Raises what made it stop before it was asked to, or ShutdownTimeout."""
        self._go(RunState.RUNNING)
        broken = None
        try:
            if await self._set_up():
                try:
                    await self._consume()
                except Exception as error:
                    self._ends(self.config.name, sole_cause(error))
                    raise
                finally:
                    broken = await self._tear_down()
        except BaseExceptionGroup as group:
            cause = sole_cause(group)
            self._failure = self._failure or (cause if isinstance(cause, Exception) else None)
            raise cause from None
        except Exception as error:
            self._failure = self._failure or error
            raise
        finally:
            self._go(RunState.STOPPED)
            self._failure = self._failure or broken
            self.phase = "the plugins' on_stop"
            await self._tell(self._observers.on_stop, error=self._failure)
            self.phase = ""
            self._remarks.end()
        if self._failure is not None:
            raise self._failure

    async def _set_up(self) -> bool:
        """False: asked to stop meanwhile, which cancels it; whatever it then raises is no fault of the worker's."""
        if self._stop.is_set():
            return False
        self.phase = "setup()"
        self._setting_up = scope = asyncio.timeout(None)
        try:
            async with scope:
                await _done("setup", self._worker.setup())
        except BaseException as error:
            if scope.expired():
                return False
            if stopping_us(error):
                raise
            self._components.worker_log.raised("setup failed", "setup()", error)
            raise BrokenWorker.by(self.config.name, self.config.source, "setup()", error) from error
        finally:
            self._setting_up = None
        return True

    async def _tear_down(self) -> BrokenWorker | None:
        """Only after a setup that went well. What it raised; never instead of the error that ended the worker."""
        self.phase = "teardown()"
        try:
            await _done("teardown", self._worker.teardown())
        except BaseException as error:
            if stopping_us(error):
                raise
            self._components.worker_log.raised("teardown failed", "teardown()", error)
            return BrokenWorker.by(self.config.name, self.config.source, "teardown()", error)
        return None

    def request_stop(self) -> None:
        """Finish what runs, commit, leave the group; a ``setup`` that is under way is cancelled."""
        self._stop.set()
        if self._setting_up is not None and self._setting_up.when() is None:
            self._setting_up.reschedule(self._loop.time())

    def forked(self) -> None:
        """This is the copy in a forked child: nothing that it holds is the child's to handle or to settle."""
        self.schedule.close()
        self.assignment_table.fence(self.assignment_table.sources)
        self.runner_pool.forked()

    def snapshot(self) -> WorkerSnapshot:
        """The worker now, without asking the broker."""
        return self._watch.snapshot(
            self._session, draining=self.state in (RunState.DRAINING, RunState.STOPPED)
        )

    def running(self) -> list[Job]:
        """What a shutdown waits for."""
        waiting = set(self.runner_pool.busy(lambda _job: True)) - set(self.runner_pool.started())
        return [*self.runner_pool.started(), *(job for job in waiting if job.sending is not None)]

    async def _consume(self) -> None:
        self.phase = "the plugins' on_start"
        await self._tell(self._observers.on_start)
        self.phase = ""
        try:
            await self._work()
            await self._leave()
        finally:
            # Whatever ended it, nothing is committed any more; whoever has the partitions next begins there.
            leaving = self.assignment_table.sources
            self.assignment_table.fence(leaving)
            self.phase = "the plugins' on_revoked"
            await tell_revoked(self._observers, self.config, leaving)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            fetcher = group.create_task(self._lasting(self._fetch), name=f"{self.config.name} fetcher")
            others = self._start_others(group)
            try:
                await self._stop.wait()
                self._go(RunState.DRAINING)
                fetcher.cancel()
                await self._drain()
            finally:
                self._cut_off()
                for task in (fetcher, *others):
                    task.cancel()

    def _start_others(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        name = self.config.name
        committer = group.create_task(self._lasting(self._commit_forever), name=f"{name} committer")
        count = self.config.concurrency
        loops = [(f"runner {n}", partial(self._runners.run, n)) for n in range(count)]
        loops += [(f"settlement {n}", partial(self._settlement_runners.run, count + n)) for n in range(count)]
        runners = [group.create_task(self._lasting(run), name=f"{name} {what}") for what, run in loops]
        for slot, runner in enumerate(runners):
            runner.add_done_callback(partial(self.runner_pool.vacate, slot))
        watcher = group.create_task(self._lasting(self._watch_forever), name=f"{name} watcher")
        return [committer, watcher, *runners]

    async def _lasting(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """*work* ends with the worker and not before. A task group takes no notice of a task that somebody has cancelled,
        and the worker would stand still without a word."""
        try:
            await work()
        except asyncio.CancelledError as error:
            if self.state is RunState.RUNNING and not await self.runner_pool.ended_by(error):
                self._cut_off()
                raise AssertionError(
                    f"{self.config.name}: something has cancelled {asyncio.current_task()}; it ends, so that it can be "
                    "started again. Please report this"
                ) from error
            raise
        except BaseException:
            self._cut_off()  # before the group cancels the others
            raise

    def _cut_off(self) -> None:
        """What has not ended by now counts for nothing, whatever it says when it is cancelled: the work was not done."""
        self.runner_pool.ending = True
        self.schedule.close()
        for job in self.runner_pool.busy(lambda job: job.sending is None):
            job.disown()

    async def _drain(self) -> None:
        """Nothing new starts; what runs has shutdown_timeout seconds."""
        self.schedule.close()
        self._components.handler.give_back(self.runner_pool, lambda _job: True)
        seconds = self._settings.shutdown_timeout
        try:
            async with asyncio.timeout(seconds):
                await self.runner_pool.quiet(lambda _job: True)
        except TimeoutError:
            blockers = [str(job) for job in self.running()]
            self._failure = self._failure or ShutdownTimeout(
                seconds, [f"{self.config.name} on {b}" for b in blockers]
            )

    async def _leave(self) -> None:
        """The commit needs a live member, so it comes before leaving the group."""
        self.phase = "its last commit and leaving the group"
        self._components.timer.cancel()
        session = self._session
        if session is None:
            return
        self.given_back = self.snapshot().in_flight
        await self._committer.give_back(session.consumer, self.assignment_table.assignments)
        await session.consumer.close()

    async def _open(self) -> Session:
        config = self.config
        subscription = Subscription(config.group_id, config.input_topics, self._settings.kafka_client_id)
        consumer = self._broker.consumer(subscription)
        session = Session(
            self._components, consumer, self._committer, self._poison_pill_search, again=self._watch.out
        )
        try:
            await session.start()
        except BaseException:
            await session.consumer.close()
            raise
        return session

    async def _fetch(self) -> None:
        """Fetch for ever; a member that is beyond repair is replaced, with patience.

        A broker that does not answer at the start is the user's to mend (an error); later it is an outage.
        """
        self._session = await self._open()
        failures, opened = 0, self._loop.time()
        while True:
            try:
                if self._session is None:
                    self._session, opened = await self._open(), self._loop.time()
                await self._session.fetch_forever()
            # Settings that were right at the start: certificates that are being exchanged, say.
            except (BrokerError, ConfigurationError) as error:
                steady = self._session is not None and self._loop.time() - opened > STEADY
                failures = 1 if steady else failures + 1
                await self._abandon_session(error, failures)
                await asyncio.sleep(REOPEN.delay(failures))

    async def _abandon_session(self, error: CoreMessagingError, failures: int) -> None:
        joined = self._session is not None and self._session.status.joined
        again = " again" if self._watch.out else ""
        lost = "lost its consumer" if joined else f"cannot join its group{again}"
        self._components.worker_log.error(
            "consumer lost",
            "%s %s: %s. Work in flight is repeated by whoever gets the partitions; rejoining in %.1f s",
            lost,
            error,
            REOPEN.delay(failures),
        )
        self._watch.lost(error, joined=joined)
        leaving = self.assignment_table.sources
        self.assignment_table.fence(leaving)
        self.runner_pool.notify_quiet()
        session, self._session = self._session, None
        if session is not None:
            await session.consumer.close()
        await tell_revoked(self._observers, self.config, leaving)

    async def _commit_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval)
            session = self._session
            if session is not None:
                await self._committer.commit(session.consumer, list(self.assignment_table.assignments))

    async def _watch_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.metrics_interval)
            await self._watch.look(self._session, draining=self.state is RunState.DRAINING)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._ends(self.config.name, error)
        self._failure = self._failure or error
        self.request_stop()

    def _go(self, state: RunState) -> None:
        if state not in NEXT[self.state]:
            raise AssertionError(
                f"{self.config.name}: {self.state} cannot become {state}; please report this"
            )
        self.state = state

    async def _tell(self, told: Tell | None, **facts: Any) -> None:
        if told is not None:
            await tell(told, worker=self.config, **facts)


async def _done(method: str, outcome: object) -> None:
    """Wait for what *method* returned, if there is anything to wait for. Raises NothingRan for a generator."""
    if inspect.isawaitable(outcome):
        outcome = await outcome
    refuse_generator(method, outcome)
