"""The tasks of one worker: they begin and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from core_messaging.engine.components import Components
from core_messaging.engine.dead_letter_limiter import DeadLetterLimiter
from core_messaging.engine.group_membership import GroupMembership
from core_messaging.engine.lifecycle import RunState
from core_messaging.engine.schedule_factory import Loop
from core_messaging.engine.settlement_loop import SettlementRunners
from core_messaging.errors import ShutdownTimeout


class WorkerTasks:
    """A fetcher, a committer, a watcher, the runners, and where there is a ``dlq_limit``, what watches that.

    Nobody else cancels them. They end when the worker is asked to stop, or when one of them fails.
    """

    def __init__(
        self,
        components: Components,
        membership: GroupMembership,
        runners: Loop,
        settlement_runners: SettlementRunners,
        limiter: DeadLetterLimiter | None,
    ) -> None:
        self._components = components
        self._lifecycle = components.lifecycle
        self._runner_pool = components.runner_pool
        self._membership = membership
        self._runners = runners
        self._settlement_runners = settlement_runners
        self._limiter = limiter

    async def run(self) -> None:
        """Work until the worker is asked to stop, then finish what runs. Raises an exception group of what a task raised."""
        async with asyncio.TaskGroup() as group:
            fetcher = self._begin(group, "fetcher", self._membership.fetch_forever)
            others = self._begin_others(group)
            try:
                await self._lifecycle.until_asked_to_stop()
                self._lifecycle.enter(RunState.DRAINING)
                fetcher.cancel()
                await self._drain()
            finally:
                self._cut_off()
                for task in (fetcher, *others):
                    task.cancel()

    def _begin_others(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        committer = self._begin(group, "committer", self._membership.commit_forever)
        watcher = self._begin(group, "watcher", self._membership.watch_forever)
        count = self._runner_pool.count
        loops = [partial(self._runners.run, n) for n in range(count)]
        loops += [partial(self._settlement_runners.run, count + n) for n in range(count)]
        name_of = self._runner_pool.name_of
        runners = [self._begin(group, name_of(slot), run) for slot, run in enumerate(loops)]
        for slot, runner in enumerate(runners):
            runner.add_done_callback(partial(self._runner_pool.vacate, slot))
        limiters = [self._begin(group, "limiter", self._limiter.run)] if self._limiter else []
        return [committer, watcher, *limiters, *runners]

    def _begin(
        self, group: asyncio.TaskGroup, name: str, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None]:
        return group.create_task(self._lasting(work), name=f"{self._components.config.name} {name}")

    async def _lasting(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *work*, which must not end before the worker does.

        A task group ignores a task that somebody else has cancelled. The worker would stand still, and nothing would be
        logged.
        """
        try:
            await work()
        except asyncio.CancelledError as error:
            if self._lifecycle.is_running and not await self._runner_pool.ended_by(error):
                self._cut_off()
                raise AssertionError(
                    f"{self._components.config.name}: something has cancelled {asyncio.current_task()}; the worker ends, so "
                    "that it can be started again. Please report this"
                ) from error
            raise
        except BaseException:
            self._cut_off()  # before the group cancels the others
            raise

    def _cut_off(self) -> None:
        """Attempts that have not ended by now have no effect, whatever they return when they are cancelled."""
        self._runner_pool.end()
        self._components.schedule.close()
        for job in self._runner_pool.busy(lambda job: job.sending is None):
            job.disown()

    async def _drain(self) -> None:
        """Start nothing new. What runs has ``shutdown_timeout`` seconds."""
        self._components.schedule.close()
        self._components.handler.give_back(self._runner_pool, lambda _job: True)
        seconds = self._components.settings.shutdown_timeout
        try:
            async with asyncio.timeout(seconds):
                await self._runner_pool.quiet(lambda _job: True)
        except TimeoutError:
            name = self._components.config.name
            blockers = [f"{name} on {job}" for job in self._runner_pool.waited_for()]
            self._lifecycle.note_failure(ShutdownTimeout(seconds, blockers))
