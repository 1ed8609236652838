"""A worker with a ``batch_size`` gets batches, every other one single messages; retries wait as its policy says."""

from __future__ import annotations

from core_messaging.config import WorkerConfig
from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.engine.schedule_factory import scheduling_of
from core_messaging.rules.batch_schedule import BatchSchedule
from core_messaging.rules.message_schedule import MessageSchedule
from core_messaging.worker import Worker, config_of


class Single(Worker):
    input_topic = "in"
    initial_delay = 2.0

    async def process(self, message: int) -> None: ...


class Many(Single):
    batch_size = 10

    async def process_batch(self, messages: list[int]) -> None: ...


def config(worker: type[Worker]) -> WorkerConfig:
    return config_of(worker)


def test_the_options_of_the_worker_choose_the_schedule() -> None:
    pool = RunnerPool(1)
    assert isinstance(scheduling_of(config(Single), pool, one_by_one=False).schedule, MessageSchedule)
    assert isinstance(scheduling_of(config(Many), pool, one_by_one=False).schedule, BatchSchedule)


def test_the_schedule_delays_by_the_retry_policy_and_wakes_the_runners_of_the_pool() -> None:
    pool, policy = RunnerPool(1), config(Single).retry_policy
    schedule = scheduling_of(config(Single), pool, one_by_one=False).schedule
    assert isinstance(schedule, MessageSchedule)
    assert [schedule._delay(attempt) for attempt in (2, 3)] == [policy.delay(1), policy.delay(2)]
    assert policy.delay(1) < policy.delay(2)
    assert schedule._handed_out == pool.handed_out
