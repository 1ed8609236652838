"""Makes the schedule that fits a worker, and the loop that runs what it hands out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from core_messaging.config import WorkerConfig
from core_messaging.engine.batch_loop import BatchRunners
from core_messaging.engine.components import Components
from core_messaging.engine.message_loop import Runners
from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.engine.settlement import Settlement
from core_messaging.rules.batch_schedule import BatchSchedule
from core_messaging.rules.message_schedule import MessageSchedule
from core_messaging.rules.schedule import Schedule


class Loop(Protocol):
    """Runs what a schedule hands out."""

    def run(self, slot: int) -> Coroutine[Any, Any, None]:
        """One runner, in place *slot* of the pool, for as long as the worker lives."""
        ...


class Scheduling(NamedTuple):
    """A schedule, and what makes the loop for it once the components are made."""

    schedule: Schedule
    loop: Callable[[Components, Settlement], Loop]


def scheduling_of(config: WorkerConfig, runner_pool: RunnerPool, *, one_by_one: bool) -> Scheduling:
    """For single messages, or for batches where the worker has a ``batch_size``.

    The schedule wakes runners of *runner_pool*. *one_by_one*: each message of a batch has a call of its own.
    """

    def delay(attempt: int) -> float:
        return config.retry_policy.delay(attempt - 1)

    told, to_settle = runner_pool.handed_out, runner_pool.settlers.wake_one
    if config.batch_size is None:
        messages = MessageSchedule(config.ordering, told, delay, to_settle)
        return Scheduling(messages, lambda components, settlement: Runners(components, settlement, messages))
    batches = BatchSchedule(
        config.ordering,
        config.batch_size,
        config.batch_timeout,
        told,
        delay,
        to_settle,
        one_by_one=one_by_one,
    )
    return Scheduling(batches, lambda components, settlement: BatchRunners(components, settlement, batches))
