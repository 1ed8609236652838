"""What plugins hear when partitions come and go, also with the worker itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core_messaging import Context, hookimpl
from core_messaging.broker import Subscription
from core_messaging.errors import RetriesExhausted
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote, Ownership
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.probed_worker import at_work, until


def filled(count: int) -> MemoryBroker:
    broker = MemoryBroker({"in": 1})
    for number in range(count):
        broker.put("in", b"%d" % number, b"%d" % number)
    return broker


class Partitions:
    """The plugin's own account of what this process has."""

    def __init__(self) -> None:
        self.told = list[str]()

    @hookimpl
    def on_assigned(self, partitions: tuple[Any, ...]) -> None:
        self.told.append(f"has {', '.join(map(str, partitions))}")

    @hookimpl
    async def on_revoked(self, partitions: tuple[Any, ...]) -> None:
        await asyncio.sleep(0.01)
        self.told.append(f"lost {', '.join(map(str, partitions))}")

    @hookimpl
    def on_stop(self) -> None:
        self.told.append("stopped")


@pytest.mark.parametrize("fails", [False, True])
def test_partitions_that_go_with_the_worker_or_its_membership_are_revoked_too(*, fails: bool) -> None:
    # A plugin that keeps something of each partition never let go of it.
    partitions, broker = Partitions(), filled(1)

    async def process(self: Worker, message: int) -> None:
        if fails:
            raise ValueError("always")

    async def test() -> None:
        options = {"process": process, "max_retries": 0, "on_exhausted": "stop"}
        if fails:
            with pytest.raises(RetriesExhausted):
                await run_alone(broker, partitions, **options)
            return
        async with at_work(broker, partitions, **options):
            await until(lambda: broker.committed("g", "in"))
            broker.fail_fetches(1)
            await until(lambda: len(partitions.told) == 3)

    run_virtually(test())
    again = [] if fails else ["has in[0]", "lost in[0]"]
    assert partitions.told == [*again, "has in[0]", "lost in[0]", "stopped"]


async def run_alone(broker: MemoryBroker, plugin: Any, **attributes: Any) -> None:
    """Until it ends by itself."""
    made = type("Watched", (Worker,), {"input_topic": "in", "group_id": "g", **attributes})
    plugins = Plugins([PluginReport("p", "test", plugin=plugin)], Settings())
    await run_workers(
        [made], RunOptions(settings=Settings(), broker=broker, handle_signals=False, plugins=plugins)
    )


class Takeover:
    """The partitions that a second process gets, and when (virtual seconds since it was started)."""

    def __init__(self) -> None:
        self.began = 0.0
        self.after: dict[int, float] = {}

    @hookimpl
    def on_assigned(self, partitions: tuple[Any, ...]) -> None:
        for source in partitions:
            self.after.setdefault(source.partition, asyncio.get_running_loop().time() - self.began)


# The accident: of two partitions that moved, the one that was free waited for the handler of the other one.
@pytest.mark.parametrize("slow", range(4))
def test_a_handler_that_takes_long_holds_up_its_own_partition_only(slow: int) -> None:
    broker, second, seen = MemoryBroker({"in": 4}), Takeover(), list[tuple[str, int]]()

    async def process(self: Worker, message: str, context: Context) -> None:
        if message == "slow":
            await asyncio.sleep(10)
        seen.append((message, context.partition))

    async def test() -> None:
        broker.put("in", b"slow", b"key", partition=slow)
        async with at_work(broker, Partitions(), process=process, concurrency=8):
            await until(lambda: len(broker.committed("g", "in")) == 4)
            second.began = asyncio.get_running_loop().time()
            async with at_work(broker, second, process=process, concurrency=8):
                await asyncio.sleep(2)
                for partition in range(4):
                    broker.put("in", b"quick", b"key", partition=partition)
                await asyncio.sleep(2)
                # All but the slow one are handled by whoever has them now.
                assert sorted(seen) == [("quick", partition) for partition in range(4) if partition != slow]
                await until(lambda: len(seen) == 5 and len(second.after) == 2)

    run_virtually(test())
    assert seen.index(("slow", slow)) < seen.index(("quick", slow))
    assert all(after < 2 for partition, after in second.after.items() if partition != slow)
    assert len(seen) == 5  # and none of them twice


@pytest.mark.parametrize("dead", [True, False])
def test_partitions_of_an_owner_that_died_are_named(*, dead: bool, caplog: pytest.LogCaptureFixture) -> None:
    # Nobody could see why they had stood still.
    broker = filled(1)
    note = CommitNote.of(0, (), {}, Ownership(is_owned=dead, owner=7, delivered=1)).encode()

    async def leave_behind() -> None:
        consumer = broker.consumer(Subscription("g", ("in",)))

        async def gone(_sources: object) -> None: ...

        await consumer.start(lambda _commits: None, gone, gone)
        await consumer.fetch(1, 1.0)
        await consumer.commit({TopicPartition("in", 0): Committed(0, note)})
        await consumer.close()

    async def process(self: Worker, message: int) -> None: ...

    async def test() -> None:
        await leave_behind()
        async with at_work(broker, Partitions(), process=process):
            await until(lambda: broker.committed("g", "in")[0].offset == 1)

    run_virtually(test())
    lines = [record for record in caplog.records if getattr(record, "action", "") == "owner died"]
    assert len(lines) == dead
    assert all("has in[0] from a process that did not leave the group" in line.message for line in lines)
