"""Who runs what, who waits for work, and when all is quiet."""

from __future__ import annotations

import asyncio

from core_messaging.engine.runner_pool import Idle, RunnerPool
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.job import Job
from tests.unit.rules.records import PlainRecord


def job(partition: int = 0) -> Job:
    record = PlainRecord(0)
    assignment = Assignment(TopicPartition("t", partition), 1)
    return Job(assignment, assignment.deliver([record]), 0, record, None)


def everything(_job: Job) -> bool:
    return True


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_as_many_idle_runners_are_woken_as_are_asked_for_in_their_order() -> None:
    async def test() -> list[int]:
        idle, woken = Idle(), list[int]()

        async def runner(number: int) -> None:
            await idle.wait()
            woken.append(number)

        tasks = [asyncio.ensure_future(runner(number)) for number in range(4)]
        await turns(1)
        tasks[0].cancel()  # it waits no more, and takes nobody's turn
        idle.wake(2)
        await turns(3)
        for task in tasks:
            task.cancel()
        return woken

    assert asyncio.run(test()) == [1, 2]


def test_one_runner_is_woken_for_many_answers_of_one_turn_of_the_loop() -> None:
    async def test() -> int:
        idle, woken = Idle(), list[int]()

        async def runner() -> None:
            await idle.wait()
            woken.append(1)

        tasks = [asyncio.ensure_future(runner()) for _ in range(3)]
        await turns(1)
        for _ in range(100):
            idle.wake_one()
        await turns(3)
        for task in tasks:
            task.cancel()
        return len(woken)

    assert asyncio.run(test()) == 1


def test_quiet_means_that_nothing_runs_and_nothing_is_unacknowledged() -> None:
    async def test() -> None:
        pool, running, sent = RunnerPool(1), job(), job()
        pool.current[0], pool.unacked = running, {sent}
        assert set(pool.busy(everything)) == {running, sent}
        waiter = asyncio.ensure_future(pool.quiet(everything))
        await turns(3)
        pool.current[0] = None
        pool.notify_quiet()
        await turns(3)
        assert not waiter.done()
        pool.unacked.discard(sent)
        pool.notify_quiet()
        async with asyncio.timeout(60):
            await waiter

    asyncio.run(test())


def test_an_answer_for_a_partition_that_is_gone_is_waited_for_by_nobody() -> None:
    pool, gone, stays = RunnerPool(1), job(0), job(1)
    pool.unacked = {gone, stays}
    gone.assignment.fence()
    assert pool.busy(everything) == [stays]


def test_a_message_that_waits_for_a_thread_does_not_count_as_running() -> None:
    pool, waits = RunnerPool(2), job()
    pool.current[1], pool.since[1] = waits, 5.0
    pool.not_begun(1)
    assert pool.started() == []
    assert pool.at_work == 0
    pool.begins(1, 6.0)
    assert pool.started() == [waits]
    assert pool.at_work == 1
    pool.progressed(waits, 9.0)
    assert pool.since[1] == 9.0
