"""The loop of messages whose handlers do not wait: decode and process, one after the other."""

from __future__ import annotations

import contextvars
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from typing import Any, Final

from core_messaging.codecs import straight
from core_messaging.context import Context
from core_messaging.definition.signatures import is_async
from core_messaging.engine.components import Components
from core_messaging.engine.counters import LATENCY_BOUNDS
from core_messaging.engine.settlement import Settlement
from core_messaging.rules.job import Job
from core_messaging.rules.streak import Streak

SHORT = LATENCY_BOUNDS[0]  # seconds; most handlers that do not wait are shorter

UNDECODED: Final = object()  # what stands for a message until it is decoded

# Settles a message whose attempt raised: (job, message, error, context, when it began).
Failed = Callable[[Job, Any, BaseException, Context | None, float], Awaitable[None]]


def may_have_streaks(components: Components, settlement: Settlement) -> bool:
    """Whether a message of this worker may go without a job: its handler is async, and takes the message alone."""
    handler, observers = components.handler, components.observers
    return (
        handler.process_alone is not None
        and is_async(getattr(handler.worker, "process", None))
        and observers.wrap_process is None
        and settlement.needs_no_job
    )


class Streaks:
    """Works off the streaks of a schedule. A handler that waits ends its streak, and its message gets a job.

    - ``pay``: whether the last handler did not wait. While handlers wait, streaks would cost more than they save
    - ``waited``: whether the handler of each runner has waited; always True where streaks are not possible
    """

    def __init__(
        self, components: Components, settlement: Settlement, failed: Failed, clock: Callable[[], float]
    ) -> None:
        handler = components.handler
        self.possible = self.pay = may_have_streaks(components, settlement)
        self.waited = [not self.possible] * components.runner_pool.count
        self._process, self._decode = handler.process_alone or handler.process, straight(handler.decode)
        self._runner_pool = components.runner_pool
        self._counters = components.counters
        self._success_path = settlement.success_path
        self._failed = failed
        self._clock = clock
        self._streak: Streak | None = (
            None  # the one that is worked off now; while a handler waits there is none
        )
        self._began = 0.0

    async def work_off(  # noqa: C901 - each part would cost one function call for each message
        self, slot: int, streak: Streak, mine: contextvars.Context, base: contextvars.Context, now: float
    ) -> tuple[float, int]:
        """Process the messages of *streak*, which begins *now*, until one waits or fails, or this runner's turn ends.

        Returns when that was, and the number of the last attempt; 0 where it has waited.
        """
        runner_pool, clock, decode, process = self._runner_pool, self._clock, self._decode, self._process
        current, since, latency = runner_pool.current, runner_pool.since, self._counters.latency
        lane_of, busy, turn_ends = streak.lane_of, streak.busy, runner_pool.turn_ends
        tell, worker = self._success_path.told, self._success_path.config
        current[slot], self._streak, self._began = None, streak, now
        for _, record in streak.records:
            if record is None or lane_of(record) in busy:
                streak.pass_over()
                continue
            since[slot], message = now, UNDECODED
            try:
                message = decode(record.value)
                result = await process(message)
            except BaseException as error:
                return await self._stopped(slot, message, error)
            ended = clock()
            if current[slot] is not None:
                return await self._after_waiting(slot, message, result, ended)
            if tell is not None:
                pending = tell(worker=worker, message=message, result=result, context=None)
                if pending is not None:
                    return await self._after_hooks(slot, pending, ended)
            if ended - now > SHORT:
                latency[0] -= 1  # ``_count`` adds all of them there
                latency[bisect_left(LATENCY_BOUNDS, ended - now)] += 1
            now = ended
            try:
                if now >= turn_ends or mine != base:
                    break
            except Exception:  # variables that cannot be compared: the caller looks at them once more
                break
        streak.finish()
        self._count(streak, now)
        return now, self._counters.started

    def waits(self, slot: int) -> None:
        """The handler of runner *slot* waits, and others run meanwhile: its message has a job from now on."""
        self.waited[slot] = True
        if self._streak is not None:
            self.pay = False
            self._stop(slot, self._streak)

    def resume(self) -> None:
        """The handler of a job did not wait, so the next messages are worked off in streaks again."""
        self.pay = True

    def _stop(self, slot: int, streak: Streak) -> Job:
        """End *streak* at its last message, which runner *slot* holds from now on."""
        job, since = streak.stop(), self._runner_pool.since[slot]
        self._runner_pool.hold(slot, job, since)
        self._count(streak, since)
        self._counters.started += 1
        return job

    def _count(self, streak: Streak, now: float) -> None:
        """*streak* has ended, and the last of its messages that are finished ended *now*."""
        self._streak = None
        counters, count = self._counters, streak.finished
        counters.started += count
        counters.succeeded += count
        counters.latency[0] += count
        counters.latency_sum += now - self._began

    async def _stopped(self, slot: int, message: Any, error: BaseException) -> tuple[float, int]:
        """The last attempt raised *error*."""
        number = 0
        job = self._runner_pool.current[slot]
        if job is None and self._streak is not None:
            job = self._stop(slot, self._streak)
            number = self._counters.started
        await self._failed(job, message, error, None, self._runner_pool.since[slot])
        return self._clock(), number

    async def _after_waiting(self, slot: int, message: Any, result: Any, ended: float) -> tuple[float, int]:
        """The last handler has waited, and returned *result*."""
        self._counters.handled(ended - self._runner_pool.since[slot])
        pending = self._success_path.finish(self._runner_pool.current[slot], message, result, None)
        if pending is None:
            return ended, 0
        await pending
        return self._clock(), 0

    async def _after_hooks(self, slot: int, pending: Awaitable[None], ended: float) -> tuple[float, int]:
        """The hooks of the last message wait for something."""
        if self._streak is not None:
            job = self._stop(slot, self._streak)
            self._counters.handled(ended - self._runner_pool.since[slot])
            await self._success_path.finish_after(pending, job)
        return self._clock(), 0
