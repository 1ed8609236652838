"""The loop a message passes through: take, decode, process, settle."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from core_messaging.engine.handler import Call
from core_messaging.engine.parts import Parts
from core_messaging.engine.settling import Settler
from core_messaging.errors import HandlerExit, Undecodable
from core_messaging.rules.job import Job
from core_messaging.rules.schedule import Schedule
from core_messaging.stopping import stopping_us

# Heartbeats, fetches and signals live on the same event loop. A handler that never suspends would keep it for
# itself; giving it up every 5 ms keeps them prompt and costs nothing measurable.
TURN = 0.005  # seconds

# Whoever is called and finds more to do than one can calls so many others; they call others in turn.
TEAM = 2


class Runners:
    """``concurrency`` long-lived coroutines. No task, future or lock is made for a message."""

    def __init__(self, parts: Parts, settler: Settler) -> None:
        handler, wrap = parts.handler, parts.observers.wrap_process
        process = cast("Call", handler.process)
        self._process = process if wrap is None else partial(wrap, process, parts.config)
        self._wants_context = handler.wants_context or wrap is not None
        self._decode = handler.decode
        self._schedule = cast("Schedule", parts.schedule)
        self._slots = parts.slots
        self._counts = parts.counts
        self._clock = parts.loop.time
        self._settler = settler
        self._following = settler.following
        self._turn_ends = 0.0

    async def run(self, slot: int) -> None:
        """One runner, for as long as the worker lives."""
        slots, schedule, clock = self._slots, self._schedule, self._clock
        take, attempt = schedule.take, self._attempt if self._following is None else self._attempt_or_follow
        now = clock()
        while True:
            job = take()
            if job is None:
                await slots.wait()
                slots.wake(min(TEAM, schedule.ready - 1))
                now = clock()
                continue
            slots.current[slot], slots.since[slot] = job, now
            if job.sending is None:
                now = await attempt(job, now)
            else:
                await self._settler.go_on(job, job.sending)
                now = clock()
            slots.current[slot] = None
            if slots.watch is not None:
                slots.watch.set()
            if now >= self._turn_ends:
                await asyncio.sleep(0)
                now = clock()
                self._turn_ends = now + TURN

    async def _attempt_or_follow(self, job: Job, started: float) -> float:
        """Of workers whose messages follow a dead letter of their key."""
        if self._following is None or await self._following.may_start(job):
            return await self._attempt(job, started)
        return self._clock()

    async def _attempt(self, job: Job, started: float) -> float:
        """Decode, process, settle; when the handler was done."""
        settler = self._settler
        self._counts.started += 1
        try:
            message = self._decode(job.record.value)
        except Exception as error:
            await settler.undecodable(job, as_undecodable(error))
            return self._clock()
        context = settler.context(job) if self._wants_context else None
        try:
            result = await self._process(message, context)
        except BaseException as error:
            if stopping_us(error):
                raise
            self._counts.handled(self._clock() - started)
            await settler.failed(job, message, as_failure(error), context)
            return self._clock()
        ended = self._clock()
        self._counts.handled(ended - started)
        pending = settler.succeeded(job, message, result, context)
        if pending is None:
            return ended
        await pending
        return self._clock()


def as_undecodable(error: Exception) -> Undecodable:
    """Whatever a decoder (or a validator of the user's model) raises, the message is undecodable."""
    if isinstance(error, Undecodable):
        return error
    wrapped = Undecodable(f"decoding raised {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def as_failure(error: BaseException) -> Exception:
    """SystemExit, CancelledError and their like end nothing here: they are a failed attempt."""
    if isinstance(error, Exception):
        return error
    wrapped = HandlerExit(error)
    wrapped.__cause__ = error
    return wrapped
