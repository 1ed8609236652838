"""Runners are woken when a retry is due, by one timer of the event loop."""

from __future__ import annotations

import asyncio

from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.engine.timer import Timer
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.job import Job
from core_messaging.rules.message_schedule import MessageSchedule
from core_messaging.testing.virtual_clock import run_virtually
from tests.unit.rules.records import PlainRecord


def taken(schedule: MessageSchedule, count: int) -> list[Job]:
    records = [PlainRecord(offset, b"%d" % offset) for offset in range(count)]
    schedule.deliver(Assignment(TopicPartition("t", 0), 1), records)
    return [job for _ in range(count) if (job := schedule.take()) is not None]


def test_each_retry_may_start_when_it_is_due_and_not_before() -> None:
    async def test() -> dict[int, float]:
        loop, schedule, pool = asyncio.get_running_loop(), MessageSchedule("key"), RunnerPool(1)
        timer, started = Timer(loop, schedule, pool), dict[int, float]()
        began = loop.time()
        for job, due in zip(taken(schedule, 3), (30.0, 10.0, 20.0), strict=True):
            timer.park(job, began + due)
        while len(started) < 3:
            await pool.runners.wait()
            while (job := schedule.take()) is not None:  # type: ignore[assignment]
                started[job.record.offset] = loop.time() - began
        return started

    assert run_virtually(test()) == {0: 30.0, 1: 10.0, 2: 20.0}


def test_after_a_cancel_nobody_is_woken() -> None:
    async def test() -> bool:
        loop, schedule, pool = asyncio.get_running_loop(), MessageSchedule("key"), RunnerPool(1)
        timer = Timer(loop, schedule, pool)
        (job,) = taken(schedule, 1)
        timer.park(job, loop.time() + 5.0)
        timer.cancel()
        timer.cancel()
        waiter = asyncio.ensure_future(pool.runners.wait())
        await asyncio.sleep(60)
        waiter.cancel()
        return schedule.take() is None

    assert run_virtually(test())
