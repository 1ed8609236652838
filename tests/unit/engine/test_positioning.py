"""A worker commits where it begins, believes no nonsense beside a commit, and loses no quiet partition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from core_messaging.broker import Subscription
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing import Fault, simulate
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker


def worker_that_sees(seen: list[int]) -> type[Worker]:
    async def process(self: Worker, message: int) -> None:
        seen.append(message)

    return type("Sees", (Worker,), {"input_topic": "in", "group_id": "g", "process": process})


@asynccontextmanager
async def at_work(broker: MemoryBroker, made: type[Worker]) -> AsyncIterator[None]:
    options = RunOptions(settings=Settings(), broker=broker, handle_signals=False)
    working = asyncio.create_task(run_workers([made], options))
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait([working])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(600):
        while not condition():  # noqa: ASYNC110 - on a virtual clock
            await asyncio.sleep(0.1)


async def commit(broker: MemoryBroker, committed: Committed) -> None:
    """As somebody else of the group does."""
    consumer = broker.consumer(Subscription("g", ("in",), "c"))
    joined = asyncio.Event()

    async def revoked(_sources: object) -> None: ...

    await consumer.start(lambda _commits: joined.set(), revoked, revoked)
    await joined.wait()
    await consumer.commit({TopicPartition("in", 0): committed})
    await consumer.close()


def test_the_position_is_committed_before_the_first_message() -> None:
    broker, seen = MemoryBroker({"in": 3}, auto_offset_reset="latest"), list[int]()
    broker.put("in", b"0", partition=1)
    made = worker_that_sees(seen)

    async def test() -> None:
        async with at_work(broker, made):
            await until(lambda: len(broker.committed("g", "in")) == 3)
        assert {number: c.offset for number, c in broker.committed("g", "in").items()} == {0: 0, 1: 1, 2: 0}
        for number in range(3):
            broker.put("in", b"%d" % (number + 1), partition=number)
        async with at_work(broker, made):
            await until(lambda: len(seen) == 3)

    run_virtually(test())
    assert sorted(seen) == [1, 2, 3]


@pytest.mark.parametrize("length", [2**40, 2**62])
def test_nonsense_beside_a_commit_skips_nothing_and_is_told(
    length: int, caplog: pytest.LogCaptureFixture
) -> None:
    broker, seen = MemoryBroker({"in": 1}), list[int]()
    for number in range(5):
        broker.put("in", b"%d" % number)
    note = CommitNote.of(0, [(1, length)], {}, Ownership())

    async def test() -> None:
        await commit(broker, Committed(0, note.encode()))
        async with at_work(broker, worker_that_sees(seen)):
            await until(lambda: len(seen) == 5)

    run_virtually(test())
    assert seen == [0, 1, 2, 3, 4]
    assert "the metadata beside the commit of in[0] is not believed" in caplog.text


def test_what_retention_took_from_a_worker_is_told_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    broker, seen = MemoryBroker({"in": 1}), list[int]()
    for number in range(9):
        broker.put("in", b"%d" % number)

    async def test() -> None:
        await commit(broker, Committed(2, CommitNote.of(2, [(3, 4)], {}, Ownership()).encode()))
        broker.delete_before("in", 0, 7)
        async with at_work(broker, worker_that_sees(seen)):
            await until(lambda: len(seen) == 2)
            await until(lambda: broker.committed("g", "in")[0].offset == 9)

    run_virtually(test())
    assert seen == [7, 8]
    assert "3 messages that this group has not read are gone" in caplog.text  # 2, 5 and 6


@pytest.mark.parametrize("seed", range(6))
def test_members_that_are_thrown_out_and_come_back_never_look_dead(seed: int) -> None:
    # What two members in turn were thrown out for was counted as their deaths, and an innocent message condemned.
    class Slow(Worker):
        input_topic = "in"
        dlq_topic = "in-dlq"

        async def process(self, message: int) -> None:
            await asyncio.sleep(0.5)

    messages = [(b"%d" % n, b"%d" % n) for n in range(60)]
    report = simulate(
        Slow, messages, seed=seed, faults=(Fault.EXPEL, Fault.FETCH_BROKEN), count=12, members=2
    )
    assert (report.finished, report.dead_lettered) == (60, 0)
