"""The last commit waits for all commits under way, and its failure is told as the last one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from core_messaging.engine.committer import Committer
from core_messaging.engine.counters import Counters
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.errors import BrokerError
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("in", 0)


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
        consumer, committer = Answering(), Committer(WorkerLog("w"), Counters())
        asked: Any = consumer
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
        refusing: Any = Refusing()
        committer = Committer(WorkerLog("w"), Counters())
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
