"""The loop a message passes through: take, decode, process, settle."""

from __future__ import annotations

import asyncio
import contextvars
from bisect import bisect_left
from functools import partial
from typing import Any

from core_messaging.codecs import straight
from core_messaging.concurrency.message_context import within
from core_messaging.context import Context
from core_messaging.engine.clock import clock_of
from core_messaging.engine.components import Components
from core_messaging.engine.counters import LATENCY_BOUNDS
from core_messaging.engine.handler_threads import PLACE, NotBegun, Place
from core_messaging.engine.settlement import Settlement
from core_messaging.engine.streak_loop import UNDECODED, Streaks
from core_messaging.errors import HandlerExit, Undecodable, text_of
from core_messaging.rules.job import Job
from core_messaging.rules.message_schedule import MessageSchedule
from core_messaging.rules.retry import sole

# A runner that is woken and finds more work than it can do wakes so many others. They wake others in turn.
TEAM = 2


class Runners:
    """``concurrency`` long-lived coroutines. No task, future or lock is made for a message."""

    def __init__(self, components: Components, settlement: Settlement, schedule: MessageSchedule) -> None:
        handler, wrap = components.handler, components.observers.wrap_process
        self._wants_context = handler.wants_context or wrap is not None
        process = handler.process_alone or handler.process
        self._process = process if wrap is None else partial(wrap, handler.process, components.config)
        self._decode, self._straight = handler.decode, straight(handler.decode)
        self._schedule = schedule
        self._runner_pool = components.runner_pool
        self._counters = components.counters
        self._clock = clock_of(components.loop)
        self._settlement = settlement
        self._streaks = Streaks(components, settlement, self._failed, self._clock)

    async def run(self, slot: int) -> None:
        """One runner, for as long as the worker lives."""
        runner_pool, schedule, waits = self._runner_pool, self._schedule, partial(self._streaks.waits, slot)
        PLACE.set(Place(runner_pool, slot, self._clock))
        base = contextvars.copy_context()
        while not runner_pool.ending:
            try:
                mine = base.copy()
                leaked = await within(mine, self._work_off(slot, mine, base), waits)
                if (
                    not leaked and not runner_pool.ending
                ):  # else it was cancelled, and a handler has kept that to itself
                    await runner_pool.runners.wait()
                    runner_pool.runners.wake(min(TEAM, schedule.ready - 1))
            except asyncio.CancelledError as error:
                if runner_pool.current[slot] is not None or await runner_pool.ended_by(error):
                    raise

    async def _work_off(self, slot: int, mine: contextvars.Context, base: contextvars.Context) -> bool:  # noqa: C901, PLR0912 - each part would cost one function call for each message
        """Take, decode, process, settle, until nothing may start.

        True: a message has left variables in *mine*, the context of these calls, which was a copy of *base*; the next
        one must not see them.
        """
        runner_pool, counters, settlement, clock = (
            self._runner_pool,
            self._counters,
            self._settlement,
            self._clock,
        )
        take, decode, process = self._schedule.take, self._straight, self._process
        current, since, latency, succeeded = (
            runner_pool.current,
            runner_pool.since,
            counters.latency,
            settlement.succeeded,
        )
        key_blocker, wants_context = settlement.key_blocker, self._wants_context
        streaks, begin_streak, waited = self._streaks, self._schedule.begin_streak, self._streaks.waited
        cannot_streak = not streaks.possible
        now, number, leaked = clock(), 0, False
        while True:
            if streaks.pay and (streak := begin_streak()) is not None:
                now, number = await streaks.work_off(slot, streak, mine, base, now)
            elif (job := take()) is None:
                break
            else:
                current[slot], since[slot], waited[slot] = job, now, cannot_streak
                if key_blocker is None or await key_blocker.is_key_unblocked(job):
                    number = counters.started = counters.started + 1
                    message, context = UNDECODED, None
                    try:
                        message = decode(job.record.value)
                        if wants_context:
                            context = settlement.callbacks.context(job)
                            result = await process(message, context)
                        else:
                            result = await process(message)
                    except BaseException as error:
                        await self._failed(job, message, error, context, since[slot])
                        now = clock()
                    else:
                        ended = clock()
                        took = ended - since[slot]  # later than ``now`` where it has waited for a thread
                        latency[bisect_left(LATENCY_BOUNDS, took)] += 1
                        counters.latency_sum += took
                        now = ended
                        if not waited[slot]:
                            streaks.resume()
                        pending = succeeded(job, message, result, context)
                        if pending is not None:
                            await pending
                            now = clock()
            if now >= runner_pool.turn_ends:
                now = await self._yield_to_loop(slot, number, now)
            try:
                leaked = (
                    mine != base
                )  # as a rule both are one and the same inside, and this costs next to nothing
            except Exception:  # values that cannot be compared count as changed
                leaked = True
            if leaked:
                break
        runner_pool.release(slot)
        return leaked

    async def _yield_to_loop(self, slot: int, number: int, now: float) -> float:
        """Let the event loop go once round, unless it has since attempt *number*, this runner's last, began; when that was."""
        runner_pool = self._runner_pool
        if runner_pool.turn_ends and number != self._counters.started:
            # Others have begun since, so this one has waited for something. Without this a hundred handlers whose I/O is
            # over would each let the event loop go once round, every 5 ms.
            runner_pool.begin_turn(now)
            return now
        runner_pool.end_turn(slot)
        await asyncio.sleep(0)
        if len(self._schedule.settlements):
            await asyncio.sleep(
                0
            )  # what was acknowledged meanwhile is settled before the next message begins
        now = self._clock()
        runner_pool.begin_turn(now)
        return now

    async def _failed(
        self, job: Job, message: Any, error: BaseException, context: Context | None, started: float
    ) -> None:
        if message is UNDECODED:
            self._counters.started -= 1  # no attempt: it was counted before it was decoded
        await self._runner_pool.pass_on(error)
        if isinstance(error, NotBegun):
            self._counters.started -= 1  # the next owner of the partition gets it
            return
        if message is UNDECODED:
            await self._settlement.failure_path.undecodable(job, self._why_not(job, error))
            return
        self._counters.handled(self._clock() - started)
        await self._settlement.failure_path.failed(job, message, as_failure(error), context)

    def _why_not(self, job: Job, error: BaseException) -> Undecodable:
        """*error* with a text that helps: the direct decoder gives none."""
        if not isinstance(error, Undecodable):
            try:
                self._decode(job.record.value)
            except BaseException as explained:
                return as_undecodable(explained)
        return as_undecodable(error)


def as_undecodable(error: BaseException) -> Undecodable:
    """The message is undecodable, whatever its decoder (or a validator of the user's model) has raised."""
    if isinstance(error, Undecodable):
        return error
    wrapped = Undecodable(f"decoding raised {type(error).__name__}: {text_of(error)}")
    wrapped.__cause__ = error
    return wrapped


def as_failure(error: BaseException) -> Exception:
    """Turn *error* into the error of a failed attempt: SystemExit and CancelledError end nothing here.

    A group of one error (of a task group, for example) stands for that error.
    """
    error = sole(error)
    if isinstance(error, Exception):
        return error
    wrapped = HandlerExit(error)
    wrapped.__cause__ = error
    return wrapped
