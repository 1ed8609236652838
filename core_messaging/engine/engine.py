"""One worker at work: records in, one verdict for each record out."""

from __future__ import annotations

import asyncio
from typing import Any

from core_messaging.concurrency.cancellation import sole_cause
from core_messaging.config import WorkerConfig
from core_messaging.definition.signatures import is_async
from core_messaging.engine.assignments import AssignmentTable
from core_messaging.engine.components import Components
from core_messaging.engine.group_membership import GroupMembership
from core_messaging.engine.handler import Handler
from core_messaging.engine.handler_threads import Threads
from core_messaging.engine.lifecycle import Lifecycle, RunState
from core_messaging.engine.monitor import Monitor
from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.engine.schedule_factory import scheduling_of
from core_messaging.engine.settlement import Settlement
from core_messaging.engine.settlement_loop import SettlementRunners
from core_messaging.engine.shared_resources import SharedResources
from core_messaging.engine.timer import Timer
from core_messaging.engine.user_setup import UserSetup
from core_messaging.engine.worker_dump import lines_of
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.engine.worker_tasks import WorkerTasks
from core_messaging.errors import BrokenWorker
from core_messaging.observers import Tell, tell
from core_messaging.rules.job import HeldBack, Job
from core_messaging.rules.schedule import Schedule
from core_messaging.snapshot import WorkerSnapshot
from core_messaging.worker import Worker


class Engine:
    """Runs one worker until it is asked to stop or fails."""

    def __init__(self, worker: Worker, config: WorkerConfig, shared: SharedResources) -> None:
        self.config = config
        self._lifecycle = Lifecycle(config.name, shared.ends)
        threads = shared.threads.of(config)
        runner_pool = RunnerPool(config.concurrency + _ahead(worker, threads, shared))
        one_by_one = getattr(worker, "process_batch", None) is None
        scheduling = scheduling_of(config, runner_pool, one_by_one=one_by_one)
        self._components = components = self._make_components(
            Handler(worker, config, threads, shared.codecs.get(config.codec or "")),
            shared,
            runner_pool,
            scheduling.schedule,
        )
        self._user_setup = UserSetup(worker, config, self._lifecycle, components.worker_log)
        self._monitor = Monitor(components)
        self._membership = GroupMembership(components, shared.broker, self._monitor)
        settlement = Settlement(components)
        self._message_logger = settlement.message_logger
        runners = scheduling.loop(components, settlement)
        settlers = SettlementRunners(components, settlement)
        self._tasks = WorkerTasks(components, self._membership, runners, settlers, settlement.limiter)

    def _make_components(
        self, handler: Handler, shared: SharedResources, runner_pool: RunnerPool, schedule: Schedule
    ) -> Components:
        config, loop = self.config, asyncio.get_running_loop()
        return Components(
            config=config,
            lifecycle=self._lifecycle,
            handler=handler,
            schedule=schedule,
            runner_pool=runner_pool,
            assignment_table=AssignmentTable(schedule),
            publisher=shared.publisher,
            observers=shared.observers,
            pauses=shared.pauses,
            control_topic=shared.control_topic,
            settings=shared.settings,
            loop=loop,
            timer=Timer(loop, schedule, runner_pool),
            worker_log=WorkerLog(config.name),
        )

    async def run(self) -> None:
        """Consume until asked to stop, and return when all is over.

        Raises what ended the worker before that, or ShutdownTimeout.
        """
        lifecycle = self._lifecycle
        lifecycle.enter(RunState.RUNNING)
        broken: list[BrokenWorker | None] = []
        try:
            await self._run(broken)
        except BaseExceptionGroup as group:
            cause = sole_cause(group)
            lifecycle.note_failure(cause if isinstance(cause, Exception) else None)
            raise cause from None
        except Exception as error:
            lifecycle.note_failure(error)
            raise
        finally:
            lifecycle.enter(RunState.STOPPED)
            lifecycle.note_failure(next(iter(broken), None))
            with lifecycle.held_up_by("the plugins' on_stop"):
                await self._tell(self._components.observers.on_stop, error=lifecycle.failure)
            self._message_logger.end()
        if lifecycle.failure is not None:
            raise lifecycle.failure

    async def _run(self, broken: list[BrokenWorker | None]) -> None:
        """From ``setup`` to ``teardown``; *broken* takes what ``teardown`` raised."""
        if not await self._user_setup.set_up():
            return
        try:
            await self._consume()
        except Exception as error:
            self._lifecycle.announce_end(sole_cause(error))
            raise
        finally:
            broken.append(await self._user_setup.tear_down())

    async def _consume(self) -> None:
        lifecycle = self._lifecycle
        with lifecycle.held_up_by("the plugins' on_start"):
            await self._tell(self._components.observers.on_start)
        try:
            await self._tasks.run()
            self._components.timer.cancel()
            with lifecycle.held_up_by("its last commit and leaving the group"):
                await self._membership.leave()
        finally:
            await self._membership.give_up_partitions()

    def request_stop(self) -> None:
        """Finish what runs, commit, leave the group; a ``setup`` that runs is cancelled. Returns at once. Safe to repeat."""
        self._lifecycle.request_stop()
        self._user_setup.cancel()

    def apply_pauses(self) -> None:
        """A person has paused partitions: no record of them comes any more, also not from a fetch that waits now."""
        session = self._membership.session
        if session is not None:
            session.flow.apply_pauses()

    def retry_now(self, key: bytes | None) -> int:
        """Messages that wait for a retry are tried now; with *key* only those of it. Returns how many.

        What is held back by a ``dlq_limit`` waits for the end of the pause.
        """
        components = self._components
        count = components.schedule.hasten(
            lambda job: key in (None, job.record.key) and not isinstance(job.sending, HeldBack),
            components.loop.time(),
        )
        components.timer.set()
        return count

    def forked(self) -> None:
        """This is the copy in a forked child: the child must not handle or settle what it holds."""
        self._components.schedule.close()
        self._components.assignment_table.fence(self._components.assignment_table.sources)
        self._components.runner_pool.forked()

    def snapshot(self) -> WorkerSnapshot:
        """The worker now, without asking the broker."""
        draining = self._lifecycle.is_draining or self._lifecycle.is_stopped
        return self._monitor.snapshot(self._membership.session, draining=draining)

    def running(self) -> list[Job]:
        """Jobs that a shutdown waits for."""
        return self._components.runner_pool.waited_for()

    def dump(self) -> list[str]:
        """What the worker holds and waits for, one fact on each line. It changes nothing, so a signal handler may call it."""
        return lines_of(self._components)

    @property
    def phase(self) -> str:
        """What holds the worker up outside of messages; empty if nothing does."""
        return self._lifecycle.phase

    @property
    def is_stopped(self) -> bool:
        """All is over."""
        return self._lifecycle.is_stopped

    @property
    def given_back(self) -> int:
        """Messages that were fetched and not finished when the worker left its group."""
        return self._membership.given_back

    async def _tell(self, told: Tell | None, **facts: Any) -> None:
        if told is not None:
            await tell(told, worker=self.config, **facts)


def _ahead(worker: Worker, threads: Threads, shared: SharedResources) -> int:
    """How many more runners than handlers may run: they wait with a message each until a thread is free.

    None where a middleware would take this for the time of the handler.
    """
    process = getattr(worker, "process", None)
    if process is None or is_async(process) or shared.observers.wrap_process is not None:
        return 0
    return threads.ahead
