"""The loop of workers with a ``batch_size``: take a batch, decode, process it, settle each message."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from core_messaging.concurrency.cancellation import forget_cancellations, stopping_us
from core_messaging.concurrency.message_context import within
from core_messaging.context import Context
from core_messaging.engine.clock import clock_of
from core_messaging.engine.components import Components
from core_messaging.engine.handler import Call
from core_messaging.engine.handler_threads import PLACE, NotBegun, Place
from core_messaging.engine.message_loop import TEAM, as_failure, as_undecodable
from core_messaging.engine.runner_pool import TURN
from core_messaging.engine.settlement import Settlement
from core_messaging.errors import BatchLengthMismatch, PartialBatchError
from core_messaging.logs.error_frames import without_frames
from core_messaging.rules.batch import Batch
from core_messaging.rules.batch_schedule import BatchSchedule
from core_messaging.rules.job import Job
from core_messaging.rules.retry import Decision, GiveUp, TryAgain, sole, together


@dataclass(slots=True)
class DecodedBatch:
    """A batch with its messages decoded. ``jobs`` are those whose messages could be decoded."""

    batch: Batch
    jobs: list[Job] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    contexts: list[Context] = field(
        default_factory=list
    )  # empty unless the handler or a middleware takes a context

    def context(self, index: int) -> Context | None:
        """Return the context of the message at *index*; None where the handler takes no contexts."""
        return self.contexts[index] if self.contexts else None


@dataclass(slots=True)
class Outcome:
    """The result or the error of each message, by its index.

    ``results_unknown`` counts messages that are done without a result, because the handler raised for the others.
    """

    results: dict[int, Any] = field(default_factory=dict)
    errors: dict[int, BaseException] = field(default_factory=dict)
    results_unknown: int = 0


class BatchRunners:
    """``concurrency`` long-lived coroutines, each with one batch at a time."""

    def __init__(self, components: Components, settlement: Settlement, schedule: BatchSchedule) -> None:
        handler, wrap = components.handler, components.observers.wrap_process
        self._whole = handler.process_batch is not None
        call = handler.process_batch or handler.process
        self._call = call if wrap is None else partial(wrap, call, components.config)
        self._wants_context = handler.wants_context or wrap is not None
        self._decode = handler.decode
        self._schedule = schedule
        self._components = components
        self._counters = components.counters
        self._settlement = settlement
        self._turn_ends = 0.0
        self._fine_clock = clock_of(
            components.loop
        )  # not for what is due: the loop's timers have the loop's own

    async def run(self, slot: int) -> None:
        """One runner, for as long as the worker lives."""
        runner_pool, clock, called = self._components.runner_pool, self._components.loop.time, False
        PLACE.set(Place(runner_pool, slot, self._fine_clock))
        while not runner_pool.ending:
            work = self._schedule.take(clock())
            if work is None:
                self._components.timer.set()
                await self._wait()
                called = True
                continue
            if (
                called
            ):  # only a runner that has found work wakes others, or they would wake each other for ever
                called = False
                runner_pool.runners.wake(TEAM)
            runner_pool.hold(slot, work, clock())
            await within(copy_context(), self._attempt(work))
            runner_pool.release(slot)
            if clock() >= self._turn_ends:
                await asyncio.sleep(0)
                if len(self._schedule.settlements):
                    await asyncio.sleep(
                        0
                    )  # what was acknowledged meanwhile is settled before the next batch begins
                self._turn_ends = clock() + TURN

    async def _wait(self) -> None:
        try:
            await self._components.runner_pool.runners.wait()
        except asyncio.CancelledError as error:
            if await self._components.runner_pool.ended_by(error):
                raise

    async def _attempt(self, batch: Batch) -> None:
        opened = await self._open(batch)
        if not opened.jobs:
            return
        if self._whole:
            await self._together(opened)
        else:
            await self._one_by_one(opened)

    def _began(self, batch: Batch) -> float:
        """When the call of *batch* began; later than it was asked for where it has waited for a thread."""
        runner_pool = self._components.runner_pool
        return runner_pool.since[runner_pool.current.index(batch)]

    async def _open(self, batch: Batch) -> DecodedBatch:
        """Decode each message. A message that cannot be decoded is settled here, and the others go on."""
        opened = DecodedBatch(batch)
        for job in batch.jobs:
            try:
                message = self._decode(job.record.value)
            except BaseException as error:  # a model may raise anything
                await self._components.runner_pool.pass_on(error)
                await self._settlement.failure_path.undecodable(job, as_undecodable(error))
            else:
                opened.jobs.append(job)
                opened.messages.append(message)
                if self._wants_context:
                    opened.contexts.append(self._settlement.callbacks.context(job))
        return opened

    async def _together(self, opened: DecodedBatch) -> None:
        """One call of ``process_batch``: an attempt of each message."""
        counters, count, clock = self._counters, len(opened.jobs), self._fine_clock
        counters.started += count
        started = clock()
        try:
            outcome = await whole_batch(self._call, opened.messages, opened.contexts, count)
        except BaseException as error:
            seconds = clock() - max(started, self._began(opened.batch))
            await self._components.runner_pool.pass_on(error)
            if isinstance(error, NotBegun):
                counters.started -= count  # the next owner of the partition gets them
                return
            counters.handled(seconds, count)
            await self._whole_failed(opened, as_failure(error))
        else:
            counters.handled(clock() - max(started, self._began(opened.batch)), count)
            if not self._components.runner_pool.ending:  # else it was cancelled, and has kept that to itself
                await self._settle(opened, outcome)

    async def _settle(self, opened: DecodedBatch, outcome: Outcome) -> None:
        if outcome.results_unknown and self._components.config.output_topic is not None:
            self._settlement.message_logger.results_unknown(opened.jobs[0], outcome.results_unknown)
        for index, result in outcome.results.items():
            job, message = opened.jobs[index], opened.messages[index]
            pending = self._settlement.succeeded(job, message, result, opened.context(index))
            if pending is not None:
                await pending
        errors = {index: as_failure(error) for index, error in outcome.errors.items()}
        await self._settle_failed(opened, errors)

    async def _settle_failed(self, opened: DecodedBatch, errors: dict[int, Exception]) -> None:
        """Settle each message by its own error. Messages that are tried again after the same delay are tried together."""
        chance = random.random()  # noqa: S311 - jitter, not secrets; the same for all, so that they stay together
        decisions = {
            index: self._settlement.failure_path.decide(opened.jobs[index], error, chance)
            for index, error in errors.items()
        }
        delays = self._delays(opened, decisions)
        for index, error in errors.items():
            decision, job, message = decisions[index], opened.jobs[index], opened.messages[index]
            if isinstance(decision, GiveUp):
                await self._settlement.failure_path.gave_up(
                    job, message, error, opened.context(index), decision.reason
                )
            else:
                await self._settlement.failure_path.will_retry(
                    job, message, error, opened.context(index), delays[index]
                )
        for delay in sorted(set(delays.values())):
            self._again([opened.jobs[index] for index in sorted(delays) if delays[index] == delay], delay)

    def _delays(self, opened: DecodedBatch, decisions: dict[int, Decision]) -> dict[int, float]:
        """Seconds until the next attempt, of those that have one."""
        wanted = {
            index: decision.delay for index, decision in decisions.items() if isinstance(decision, TryAgain)
        }
        return together(wanted, lambda index: self._schedule.lane_of(opened.jobs[index].record))

    async def _whole_failed(self, opened: DecodedBatch, error: Exception) -> None:
        """Retry all by the policy; then halve, so that one bad message never takes the good ones with it.

        It is unknown which message has failed, so the policy decides by the message with the most attempts. Attempts in
        halves cost no retries, because another message of the half may have failed.
        """
        jobs = opened.jobs
        if len(jobs) == 1:
            await self._settle_failed(opened, {0: error})
            return
        latest = max(jobs, key=lambda job: job.counted_attempt)
        decision = self._settlement.failure_path.decide(latest, error)
        delay = decision.delay if isinstance(decision, TryAgain) else 0.0
        for index, job in enumerate(jobs):
            if isinstance(decision, TryAgain):
                await self._settlement.failure_path.will_retry(
                    job, opened.messages[index], error, opened.context(index), delay
                )
            else:
                await self._settlement.failure_path.will_halve(
                    job, opened.messages[index], error, opened.context(index)
                )
        if isinstance(decision, TryAgain):
            self._again(jobs, delay)
        else:
            self._settlement.message_logger.halved(jobs, error)
            self._schedule.split(jobs)
            self._components.runner_pool.runners.wake(1)

    def _again(self, jobs: Sequence[Job], delay: float) -> None:
        for job in jobs:
            without_frames(job.error)
        self._schedule.again(jobs, self._components.loop.time() + delay)
        self._components.timer.set()

    async def _one_by_one(self, opened: DecodedBatch) -> None:
        """A worker with only ``process``: its messages at the same time, in order where order is asked.

        Each is settled when it is over.
        """
        lanes: dict[Hashable, list[int]] = {}
        for index, job in enumerate(opened.jobs):
            lane = self._schedule.lane_of(job.record)
            lanes.setdefault(("alone", index) if lane is None else ("lane", lane), []).append(index)
        try:
            async with asyncio.TaskGroup() as group:
                for indices in lanes.values():
                    group.create_task(self._in_order(opened, indices))
        except asyncio.CancelledError as error:
            # Otherwise a handler has cancelled this task, and the other messages of the batch have lost an attempt by that.
            if await self._components.runner_pool.ended_by(error):
                raise

    async def _in_order(self, opened: DecodedBatch, indices: list[int]) -> None:
        """Process one lane. Messages behind a failure wait for its retry, and lose no attempt."""
        for position, index in enumerate(indices):
            if not await within(copy_context(), self._process_one(opened, index)):
                self._schedule.wait_behind([opened.jobs[i] for i in indices[position + 1 :]])
                return
            self._components.runner_pool.progressed(opened.batch, self._components.loop.time())

    async def _process_one(self, opened: DecodedBatch, index: int) -> bool:
        """Process one message. Whether the next message of its lane may follow."""
        job, message, context = opened.jobs[index], opened.messages[index], opened.context(index)
        clock, runner_pool = self._fine_clock, self._components.runner_pool
        self._counters.started += 1
        started = clock()
        try:
            result = await self._call(message, context)
        except BaseException as error:
            seconds = clock() - started
            await runner_pool.pass_on(error)
            if isinstance(error, NotBegun):
                self._counters.started -= 1
                return False
            self._counters.handled(seconds)
            return await self._settlement.failure_path.failed(job, message, as_failure(error), context)
        self._counters.handled(clock() - started)
        if await _was_cancelled() and runner_pool.ending:
            return False
        pending = self._settlement.succeeded(job, message, result, context)
        if pending is not None:
            await pending
        return True


async def _was_cancelled() -> bool:
    """Whether the handler has swallowed a cancellation of this task, or asked for one. The cancellation is over then."""
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return False
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as error:
        if not stopping_us(error):
            raise
    forget_cancellations()
    return True


async def whole_batch(
    process_batch: Call, messages: list[Any], contexts: list[Context], count: int
) -> Outcome:
    """Call *process_batch* with *count* messages; one result a message, None for no results, or PartialBatchError."""
    try:
        results = await process_batch(messages, contexts)
    except BaseException as raised:
        error = sole(raised)
        if not isinstance(error, PartialBatchError):
            raise
        inside = {index: cause for index, cause in error.errors.items() if 0 <= index < count}
        if not inside:
            # The indices are of no message. It is unknown which messages failed, so none may count as done.
            raise
        done = {i: result for i, result in _each(error.results, count).items() if i not in inside}
        return Outcome(done, inside, results_unknown=len(done) if error.results is None else 0)
    return Outcome(_each(results, count))


def _each(results: Sequence[Any] | None, count: int) -> dict[int, Any]:
    """Index -> result of *count* messages. Raises BatchLengthMismatch."""
    if results is None:
        return dict.fromkeys(range(count))
    if len(results) != count:
        raise BatchLengthMismatch(count, len(results))
    return dict(enumerate(results))
