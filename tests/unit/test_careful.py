"""After crashes each message runs alone, and that is no standstill; commits that meet are all waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import pytest

from core_messaging.broker import Consumer, Subscription
from core_messaging.engine.committer import Committer
from core_messaging.engine.counters import Counters
from core_messaging.errors import BrokerError
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.snapshot import Condition
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker
from tests.unit.rules.records import PlainRecord
from tests.unit.test_watching import Looks

SOURCE = TopicPartition("in", 0)
COUNT = 40


async def _left_by_two_that_vanished(broker: MemoryBroker) -> None:
    consumer = broker.consumer(Subscription("g", ("in",), "c"))
    joined = asyncio.Event()

    async def revoked(_sources: object) -> None: ...

    await consumer.start(lambda _commits: joined.set(), revoked)
    await consumer.fetch(1, 1.0)
    note = CommitNote.of(0, (), {}, Ownership(held=True, crashes=1, delivered=COUNT)).encode()
    await consumer.commit({SOURCE: Committed(0, note)})
    await consumer.close()


def test_a_worker_that_looks_for_a_culprit_is_not_stuck() -> None:
    # /livez answered 503 after a minute, and whoever restarted it then made it forget what it had found out.
    broker, looks, done = MemoryBroker({"in": 1}), Looks(), list[int]()
    for number in range(COUNT):
        broker.put("in", b"%d" % number, b"%d" % number)

    async def process(self: Worker, message: int) -> None:
        await asyncio.sleep(10)
        done.append(message)

    made = type("Slow", (Worker,), {"input_topic": "in", "group_id": "g", "process": process})
    settings = Settings(metrics_interval=5.0)

    async def test() -> None:
        await _left_by_two_that_vanished(broker)
        plugins = Plugins([PluginReport("looks", "test", hooks=("metrics",), plugin=looks)], settings)
        options = RunOptions(settings=settings, broker=broker, handle_signals=False, plugins=plugins)
        began = asyncio.get_running_loop().time()
        working = asyncio.create_task(run_workers([made], options))
        while len(done) < COUNT:  # noqa: ASYNC110 - on a virtual clock
            await asyncio.sleep(1)
        assert asyncio.get_running_loop().time() - began >= 10 * COUNT  # one at a time
        working.cancel()
        await asyncio.wait([working])

    run_virtually(test())
    assert Condition.STUCK not in looks.conditions
    assert looks.conditions


class Answering:
    """A consumer whose commits are answered by the test."""

    def __init__(self) -> None:
        self.asked = list[asyncio.Future[None]]()

    async def commit(self, _offsets: Mapping[TopicPartition, Committed]) -> None:
        self.asked.append(asyncio.get_running_loop().create_future())
        await self.asked[-1]


def test_the_last_commit_waits_for_all_that_are_under_way() -> None:
    # It waited for the first that ended; the other one, repeated by the client, could turn the clock back.
    async def test() -> None:
        consumer, committer = Answering(), Committer("w", Counters())
        asked = cast("Consumer", consumer)
        each = [Assignment(TopicPartition("in", number), 1) for number in range(3)]
        for assignment in each:
            assignment.deliver([PlainRecord(0, b"k")])
        first = asyncio.create_task(committer.commit(asked, each[:1]))
        second = asyncio.create_task(committer.commit(asked, each[1:2]))
        await asyncio.sleep(0)
        last = asyncio.create_task(committer.give_back(asked, each[2:]))
        consumer.asked[0].set_result(None)
        await first
        await asyncio.sleep(0)
        assert len(consumer.asked) == 2
        consumer.asked[1].set_result(None)
        await second
        while len(consumer.asked) < 3:  # noqa: ASYNC110 - the loop goes round
            await asyncio.sleep(0)
        consumer.asked[2].set_result(None)
        assert await last

    asyncio.run(asyncio.wait_for(test(), 5))


def test_a_last_commit_that_fails_is_not_said_to_be_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing:
        async def commit(self, _offsets: object) -> None:
            raise BrokerError("no coordinator")

    async def test() -> None:
        refusing, committer = cast("Consumer", Refusing()), Committer("w", Counters())
        assignment = Assignment(TopicPartition("in", 0), 1)
        assignment.deliver([PlainRecord(0, b"k")])
        assert not await committer.commit(refusing, [assignment])
        assert not await committer.give_back(refusing, [assignment])

    asyncio.run(test())
    said, last = [record.getMessage() for record in caplog.records]
    assert "tried again every commit_interval" in said
    assert last == (
        "w: the last commit before partitions are given back failed: no coordinator; what was finished there since "
        "the commit before is delivered again"
    )
