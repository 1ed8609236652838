"""The loop for jobs that need no handler: answered by the broker, to be published again, or to be given up."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

from core_messaging.concurrency.message_context import within
from core_messaging.engine.components import Components
from core_messaging.engine.message_loop import TEAM
from core_messaging.engine.runner_pool import TURN
from core_messaging.engine.settlement import Settlement


class SettlementRunners:
    """Long-lived coroutines, as many as there are handler runners, because hooks may be slow too.

    With slots of their own, a dead letter that is acknowledged is settled at once, however long the handlers of other
    messages take.
    """

    def __init__(self, components: Components, settlement: Settlement) -> None:
        self._settlements = components.schedule.settlements
        self._runner_pool = components.runner_pool
        self._clock = components.loop.time
        self._settlement = settlement
        self._turn_ends = 0.0

    async def run(self, slot: int) -> None:
        """One runner, for as long as the worker lives."""
        runner_pool = self._runner_pool
        while not runner_pool.ending:
            try:
                await self._work_off(slot)
                if not runner_pool.ending:
                    await runner_pool.settlers.wait()
                    runner_pool.settlers.wake(min(TEAM, len(self._settlements) - 1))
            except asyncio.CancelledError as error:
                if runner_pool.current[slot] is not None or await runner_pool.ended_by(error):
                    raise

    async def _work_off(self, slot: int) -> None:
        """Take and settle, until there is nothing to settle."""
        runner_pool, clock = self._runner_pool, self._clock
        while (job := self._settlements.take()) is not None:
            if job.sending is None:
                continue
            runner_pool.hold(slot, job, clock())
            await within(copy_context(), self._settlement.resume(job, job.sending))
            runner_pool.release(slot)
            runner_pool.runners.wake_one()  # for the message that waited behind it
            if clock() >= self._turn_ends:
                await asyncio.sleep(0)
                self._turn_ends = clock() + TURN
