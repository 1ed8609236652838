"""The loop of workers with a ``batch_size``: take a batch, decode, process it, settle each message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from core_messaging.context import Context
from core_messaging.engine.handler import Call
from core_messaging.engine.handler_threads import PLACE, NotBegun, Place
from core_messaging.engine.parts import Parts
from core_messaging.engine.running import TEAM, TURN, as_failure, as_undecodable, clock_of
from core_messaging.engine.settling import Settler
from core_messaging.error_frames import without_frames
from core_messaging.errors import BatchLengthMismatch, PartialBatchError
from core_messaging.rules.batch import Batch
from core_messaging.rules.batches import BatchSchedule
from core_messaging.rules.job import Job
from core_messaging.rules.retry import GiveUp, TryAgain
from core_messaging.stopping import stopping_us


@dataclass(slots=True)
class Opened:
    """A batch with its messages decoded; ``jobs`` are those that could be."""

    batch: Batch
    jobs: list[Job] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)  # empty unless somebody wants them


@dataclass(slots=True)
class Outcome:
    """What became of each message, by its index. ``untried`` did not get their turn and lose no attempt.

    ``unsaid``: of how many that are done the handler could not say a result, because it raised for the others.
    """

    results: dict[int, Any] = field(default_factory=dict)
    errors: dict[int, BaseException] = field(default_factory=dict)
    untried: list[int] = field(default_factory=list)
    unsaid: int = 0


class BatchRunners:
    """``concurrency`` long-lived coroutines, each with one batch at a time."""

    def __init__(self, parts: Parts, settler: Settler) -> None:
        handler, wrap = parts.handler, parts.observers.wrap_process
        whole = handler.process_batch
        self._whole = whole is not None
        call = partial(whole_batch, whole) if whole is not None else partial(one_by_one, parts)
        self._call: Call = (
            call
            if wrap is None or whole is None
            else partial(whole_batch, partial(wrap, whole, parts.config))
        )
        self._wants_context = handler.wants_context or wrap is not None
        self._decode = handler.decode
        self._schedule = cast("BatchSchedule", parts.schedule)
        self._parts = parts
        self._settler = settler
        self._turn_ends = 0.0
        self._fine_clock = clock_of(parts.loop)  # not for what is due: the loop's timers have the loop's own

    async def run(self, slot: int) -> None:
        """One runner, for as long as the worker lives."""
        slots, clock, called = self._parts.slots, self._parts.loop.time, False
        PLACE.set(Place(slots, slot, clock))
        while not slots.ending:
            work = self._schedule.take(clock())
            if work is None:
                self._parts.rearm()
                await self._wait()
                called = True
                continue
            if called:  # only who found something calls others, or they would call each other for ever
                called = False
                slots.wake(TEAM)
            slots.current[slot], slots.since[slot] = work, clock()
            await self._attempt(work)
            slots.current[slot] = None
            slots.noticed()
            if clock() >= self._turn_ends:
                await asyncio.sleep(0)
                self._turn_ends = clock() + TURN

    async def _wait(self) -> None:
        try:
            await self._parts.slots.wait()
        except asyncio.CancelledError as error:
            if await self._parts.slots.ended_by(error):
                raise

    async def _attempt(self, batch: Batch) -> None:
        opened = await self._open(batch)
        if not opened.jobs:
            return
        counts, clock = self._parts.counts, self._fine_clock
        counts.started += len(opened.jobs)
        started = clock()
        try:
            outcome: Outcome = await self._call(opened.messages, opened.contexts, opened.jobs)
        except BaseException as error:
            await self._parts.slots.pass_on(error)
            if isinstance(error, NotBegun):
                counts.started -= len(opened.jobs)  # whoever has the partition next gets them
                return
            await self._whole_failed(opened, as_failure(error))
        else:
            # One that waited for its thread began later; ``one_by_one`` tells its own progress.
            counts.handled(clock() - max(started, self._began(batch)))
            if not self._parts.slots.ending:  # else it was cancelled, and has kept that to itself
                await self._settle(opened, outcome)

    def _began(self, batch: Batch) -> float:
        slots = self._parts.slots
        return slots.since[slots.current.index(batch)] if self._whole else 0.0

    async def _open(self, batch: Batch) -> Opened:
        """Decode each message; those that cannot be are settled here and take nobody with them."""
        opened = Opened(batch)
        for job in batch.jobs:
            try:
                message = self._decode(job.record.value)
            except BaseException as error:  # a model may raise anything
                await self._parts.slots.pass_on(error)
                await self._settler.undecodable(job, as_undecodable(error))
            else:
                opened.jobs.append(job)
                opened.messages.append(message)
                if self._wants_context:
                    opened.contexts.append(self._settler.context(job))
        return opened

    async def _settle(self, opened: Opened, outcome: Outcome) -> None:
        if outcome.unsaid and self._parts.config.output_topic is not None:
            self._settler.remarks.unsaid(opened.jobs[0], outcome.unsaid)
        for index, result in outcome.results.items():
            context = opened.contexts[index] if opened.contexts else None
            pending = self._settler.succeeded(opened.jobs[index], opened.messages[index], result, context)
            if pending is not None:
                await pending
        again, delay = list(outcome.untried), 0.0
        for index, error in outcome.errors.items():
            wait = await self._failed(opened, index, as_failure(error))
            if wait is not None:
                again.append(index)
                delay = max(delay, wait)
        if again:
            self._again(opened.batch, [opened.jobs[index] for index in sorted(again)], delay)

    async def _failed(self, opened: Opened, index: int, error: BaseException) -> float | None:
        """Seconds until this message's next attempt; None when it was its last."""
        job, message = opened.jobs[index], opened.messages[index]
        context = opened.contexts[index] if opened.contexts else None
        decision = self._settler.decide(job.attempt, error)
        match decision:
            case TryAgain(delay):
                await self._settler.will_retry(job, message, error, context, delay)
                return delay
            case GiveUp(reason):
                await self._settler.give_up(job, message, error, context, reason)
                return None

    async def _whole_failed(self, opened: Opened, error: BaseException) -> None:
        """Retry all by the policy; then halve, so that one bad message never takes the good ones with it."""
        batch, jobs = opened.batch, opened.jobs
        if len(jobs) == 1:
            # Alone at last: its failure is its own. While isolating, it has had its retries already.
            if batch.isolating:
                await self._settle_alone(opened, error)
            else:
                await self._settle(opened, Outcome(errors={0: error}))
            return
        decision = self._settler.decide(batch.attempt, error)
        if isinstance(decision, TryAgain) and not batch.isolating:
            for job, message in zip(jobs, opened.messages, strict=True):
                await self._settler.will_retry(job, message, error, None, decision.delay)
            self._again(batch, jobs, decision.delay)
        else:
            self._settler.remarks.halved(jobs, error)
            self._schedule.split(batch, jobs)
            self._parts.slots.wake(1)

    async def _settle_alone(self, opened: Opened, error: BaseException) -> None:
        self._settler.decide(opened.batch.attempt, error)
        await self._settler.give_up(
            opened.jobs[0],
            opened.messages[0],
            error,
            opened.contexts[0] if opened.contexts else None,
            "alone",
        )

    def _again(self, batch: Batch, jobs: list[Job], delay: float) -> None:
        for job in jobs:
            without_frames(job.error)
        self._schedule.again(batch, jobs, self._parts.loop.time() + delay)
        self._parts.rearm()


async def whole_batch(
    process_batch: Call, messages: list[Any], contexts: list[Context], jobs: list[Job]
) -> Outcome:
    """Call *process_batch*; one result a message, None for no results, or PartialBatchError."""
    try:
        results = await process_batch(messages, contexts)
    except PartialBatchError as error:
        inside = {index: cause for index, cause in error.errors.items() if 0 <= index < len(jobs)}
        if not inside:
            # Indices of no message: which ones failed is unknown, so none may count as done.
            raise
        done = {i: result for i, result in _each(error.results, len(jobs)).items() if i not in inside}
        return Outcome(done, inside, unsaid=len(done) if error.results is None else 0)
    return Outcome(_each(results, len(jobs)))


def _each(results: Sequence[Any] | None, count: int) -> dict[int, Any]:
    """Index -> result of *count* messages. Raises BatchLengthMismatch."""
    if results is None:
        return dict.fromkeys(range(count))
    if len(results) != count:
        raise BatchLengthMismatch(count, len(results))
    return dict(enumerate(results))


async def one_by_one(parts: Parts, messages: list[Any], contexts: list[Context], jobs: list[Job]) -> Outcome:
    """A worker with a ``batch_size`` and only ``process``: its messages together, in order where order is asked."""
    outcome = Outcome()
    lanes: dict[object, list[int]] = {}
    for index, job in enumerate(jobs):
        lanes.setdefault(_lane(parts, job, index), []).append(index)
    wrap = parts.observers.wrap_process
    process = cast("Call", parts.handler.process)
    call = process if wrap is None else partial(wrap, process, parts.config)
    progressed = partial(parts.slots.progressed, jobs[0].lane)
    async with asyncio.TaskGroup() as group:
        for indices in lanes.values():
            group.create_task(_in_order(call, indices, messages, contexts, outcome, progressed))
    for index in range(len(jobs)):
        if index not in outcome.results and index not in outcome.untried:
            # Its task here, which nobody but a handler can have cancelled.
            outcome.errors.setdefault(index, asyncio.CancelledError())
    return outcome


def _lane(parts: Parts, job: Job, index: int) -> object:
    match parts.config.ordering:
        case "partition":
            return None
        case "key" if job.record.key is not None:
            return job.record.key
        case _:
            return index


async def _in_order(
    call: Call,
    indices: list[int],
    messages: list[Any],
    contexts: list[Context],
    outcome: Outcome,
    progressed: Callable[[float], None],
) -> None:
    """One lane: what comes after a failure has to wait for its retry."""
    clock = asyncio.get_running_loop().time
    for position, index in enumerate(indices):
        try:
            outcome.results[index] = await call(messages[index], contexts[index] if contexts else None)
            progressed(clock())
        except BaseException as error:
            if stopping_us(error):
                raise
            if isinstance(error, NotBegun):
                outcome.untried.extend(indices[position:])
                return
            outcome.errors[index] = error
            outcome.untried.extend(indices[position + 1 :])
            return
