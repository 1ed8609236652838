"""The loop of what needs no handler any more: answers of the broker, records to publish again, messages to give up."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

from core_messaging.engine.parts import Parts
from core_messaging.engine.running import TEAM, TURN
from core_messaging.engine.settling import Settler
from core_messaging.message_context import within


class SettlementRunners:
    """Long-lived coroutines beside those that run handlers, as many of them, because a hook may take its time too.

    With slots of their own, a dead letter that is acknowledged is settled at once, however long the handlers of other
    messages take.
    """

    def __init__(self, parts: Parts, settler: Settler) -> None:
        self._settlements = parts.schedule.settlements
        self._slots = parts.slots
        self._clock = parts.loop.time
        self._settler = settler
        self._turn_ends = 0.0

    async def run(self, slot: int) -> None:
        """One runner, for as long as the worker lives."""
        slots = self._slots
        while not slots.ending:
            try:
                await self._work_off(slot)
                if not slots.ending:
                    await slots.settlers.wait()
                    slots.settlers.wake(min(TEAM, len(self._settlements) - 1))
            except asyncio.CancelledError as error:
                if slots.current[slot] is not None or await slots.ended_by(error):
                    raise

    async def _work_off(self, slot: int) -> None:
        """Take and settle, until there is nothing to settle."""
        slots, clock = self._slots, self._clock
        while (job := self._settlements.take()) is not None:
            if job.sending is None:
                continue
            slots.current[slot], slots.since[slot] = job, clock()
            await within(copy_context(), self._settler.go_on(job, job.sending))
            slots.current[slot] = None
            slots.noticed()
            slots.wake_one()  # for what waited behind it
            if clock() >= self._turn_ends:
                await asyncio.sleep(0)
                self._turn_ends = clock() + TURN
