"""Makes the schedule that fits a worker."""

from __future__ import annotations

from core_messaging.config import WorkerConfig
from core_messaging.engine.slots import Slots
from core_messaging.rules.batches import BatchSchedule
from core_messaging.rules.schedule import Schedule


def schedule_for(config: WorkerConfig, slots: Slots, *, one_by_one: bool) -> Schedule | BatchSchedule:
    """Of single messages or of batches; it tells *slots* what concerns them. *one_by_one*: each message of a batch has a call
    of its own."""

    def delay(attempt: int) -> float:
        return config.retry_policy.delay(attempt - 1)

    told = slots.handed_out
    if config.batch_size is None:
        return Schedule(config.ordering, told, delay, slots.settlers.wake_one)
    return BatchSchedule(
        config.ordering,
        config.batch_size,
        config.batch_timeout,
        told,
        delay,
        slots.settlers.wake_one,
        one_by_one=one_by_one,
    )
