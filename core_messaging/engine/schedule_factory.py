"""Makes the schedule that fits a worker."""

from __future__ import annotations

from core_messaging.config import WorkerConfig
from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.rules.batch_schedule import BatchSchedule
from core_messaging.rules.schedule import Schedule


def schedule_for(
    config: WorkerConfig, runner_pool: RunnerPool, *, one_by_one: bool
) -> Schedule | BatchSchedule:
    """Of single messages or of batches; it tells *slots* what concerns them. *one_by_one*: each message of a batch has a call
    of its own."""

    def delay(attempt: int) -> float:
        return config.retry_policy.delay(attempt - 1)

    told = runner_pool.handed_out
    if config.batch_size is None:
        return Schedule(config.ordering, told, delay, runner_pool.settlers.wake_one)
    return BatchSchedule(
        config.ordering,
        config.batch_size,
        config.batch_timeout,
        told,
        delay,
        runner_pool.settlers.wake_one,
        one_by_one=one_by_one,
    )
