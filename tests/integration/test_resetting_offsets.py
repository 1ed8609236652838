"""Where a group starts and goes on: with ``latest``, in partitions that are added, where its position is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import pytest
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from core_messaging.broker import Broker
from core_messaging.errors import MessagesGone, PublishFailed, RecordRefused
from core_messaging.kafka.client import KafkaBroker
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.records import Committed, Outgoing, TopicPartition
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker
from tests.integration.brokers import RunningBroker
from tests.integration.harness import PATIENCE, committed, publish, run, running, settings_for, until
from tests.integration.test_broker_contract import Member, send

Reset = Literal["earliest", "latest", "stop"]


class Kind:
    """A broker of one kind with a topic of two partitions."""

    def __init__(self, running_broker: RunningBroker | None) -> None:
        self._running = running_broker
        self._memory: MemoryBroker | None = None
        self.topic = "t" if running_broker is None else running_broker.make_topic(2)

    def broker(self, reset: Reset) -> Broker:
        if self._running is not None:
            return KafkaBroker(self.settings(reset))
        self._memory = self._memory or MemoryBroker({"t": 2}, auto_offset_reset=reset)
        return self._memory

    @property
    def is_memory(self) -> bool:
        return self._running is None

    def settings(self, reset: Reset) -> Settings:
        assert self._running is not None
        return settings_for(self._running.address, kafka_auto_offset_reset=reset)

    async def committed(self, group: str) -> int:
        """The committed offset of partition 0."""
        if self._memory is not None:
            return self._memory.committed(group, self.topic)[0].offset
        assert self._running is not None
        return (await committed(self._running.address, group, self.topic, 1))[0][0]

    async def delete_before(self, partition: int, offset: int) -> None:
        if self._memory is not None:
            self._memory.delete_before(self.topic, partition, offset)
            return
        async with self._admin() as admin:
            await admin.delete_records({ClientPartition(self.topic, partition): RecordsToDelete(offset)})

    async def add_partitions(self, count: int) -> None:
        async with self._admin() as admin:
            await admin.create_partitions({self.topic: NewPartitions(count)})

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        assert self._running is not None
        admin = AIOKafkaAdminClient(bootstrap_servers=self._running.address)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


@pytest.fixture(params=["memory", "apache"])
def kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "memory":
        return Kind(None)
    return Kind(request.getfixturevalue("apache_broker"))


async def assigned(member: Member) -> None:
    async with asyncio.timeout(PATIENCE):
        while not member.assignments:
            await member.consumer.fetch(1, 0.1)


def test_a_group_with_latest_begins_at_the_end_and_knows_where_that_was(kind: Kind) -> None:
    async def test() -> None:
        broker = kind.broker("latest")
        await send(broker, *(Outgoing(kind.topic, b"old", partition=n % 2) for n in range(6)))
        member = Member(broker, kind.topic)
        await member.start()
        await assigned(member)
        sources = [TopicPartition(kind.topic, number) for number in range(2)]
        assert await member.consumer.positions(sources) == dict.fromkeys(sources, 3)
        await send(broker, Outgoing(kind.topic, b"new", partition=1))
        assert [record.value for record in await member.take(1)] == [b"new"]
        await member.consumer.close()

    run(test())


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_what_retention_took_is_told_and_reading_goes_on_at_the_first_record_left(
    kind: Kind, reset: Reset, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> list[int]:
        broker = kind.broker(reset)
        first = Member(broker, kind.topic)
        await first.start()
        await assigned(first)
        await first.consumer.commit({TopicPartition(kind.topic, 0): Committed(2)})
        await first.consumer.close()
        await send(broker, *(Outgoing(kind.topic, b"%d" % n, partition=0) for n in range(10)))
        await kind.delete_before(0, 7)
        second = Member(broker, kind.topic)
        await second.start()
        found = await second.take(3)
        await second.consumer.close()
        return [record.offset for record in found]

    assert run(test()) == [7, 8, 9]
    (line,) = [record.getMessage() for record in caplog.records if "gone" in record.getMessage()]
    assert "5 messages" in line
    assert "offsets 2 to 6" in line


def test_a_worker_that_prefers_to_stop_skips_nothing_and_commits_nothing(kind: Kind) -> None:
    class Careful(Worker):
        input_topic = kind.topic
        group_id = kind.topic

        async def process(self, message: int) -> None:
            raise AssertionError(message)

    async def test() -> None:
        broker = kind.broker("stop")
        first = Member(broker, kind.topic, kind.topic)
        await first.start()
        await assigned(first)
        await first.consumer.commit({TopicPartition(kind.topic, 0): Committed(2)})
        await first.consumer.close()
        await send(broker, *(Outgoing(kind.topic, b"%d" % n, partition=0) for n in range(10)))
        await kind.delete_before(0, 7)
        settings = settings_for("unused") if kind.is_memory else kind.settings("stop")
        options = RunOptions(
            settings=settings, broker=broker if kind.is_memory else None, handle_signals=False
        )
        with pytest.raises(
            MessagesGone, match=r"5 messages .*offsets 2 to 6.*the worker stops and skips nothing"
        ):
            await run_workers([Careful], options)
        assert await kind.committed(kind.topic) == 2

    run(test())


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_a_group_beyond_the_end_goes_to_the_first_record_left(
    kind: Kind, reset: Reset, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> list[int]:
        broker = kind.broker(reset)
        first = Member(broker, kind.topic)
        await first.start()
        await assigned(first)
        await first.consumer.commit({TopicPartition(kind.topic, 0): Committed(1_000)})
        await first.consumer.close()
        await send(broker, *(Outgoing(kind.topic, b"x", partition=0) for _ in range(2)))
        second = Member(broker, kind.topic)
        await second.start()
        found = await second.take(2)
        await second.consumer.close()
        return [record.offset for record in found]

    assert run(test()) == [0, 1]
    assert "the topic was made anew, or its end was lost" in caplog.text


async def until_it_takes(broker: Broker, record: Outgoing) -> None:
    """A partition that was added reaches the brokers' metadata a moment later."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(RecordRefused, PublishFailed):
                await send(broker, record)
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_a_topic_that_is_deleted_and_made_again_is_told_and_read_from_its_first_record(
    apache_broker: RunningBroker, reset: Reset, caplog: pytest.LogCaptureFixture
) -> None:
    # With latest, what came before the worker had the partition again was skipped.
    address, topic, seen = apache_broker.address, apache_broker.make_topic(1), list[int]()
    options: dict[str, Any] = {"kafka_metadata_max_age": 0.5, "kafka_auto_offset_reset": reset}

    class Reader(Worker):
        input_topic = topic
        group_id = topic

        async def process(self, message: int) -> None:
            seen.append(message)

    async def test() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        async with running(address, Reader, **options) as task:
            async with asyncio.timeout(PATIENCE):
                while not await committed(address, topic, partitions=1):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.1)
            await publish(address, topic, [b"1"])
            await until(lambda: seen == [1], task)
            await admin.delete_topics([topic])
            await until(lambda: f"topic {topic} is gone" in caplog.text, task)
            apache_broker.make_topic(1, name=topic)
            await publish(address, topic, [b"2"])
            await until(lambda: seen == [1, 2], task)
        await admin.close()

    run(test())


def test_a_partition_that_is_added_is_read_from_its_first_record(apache_broker: RunningBroker) -> None:
    kind = Kind(apache_broker)

    async def test() -> list[bytes | None]:
        broker = kind.broker("latest")
        await send(broker, Outgoing(kind.topic, b"old", partition=0))
        first = Member(broker, kind.topic)
        await first.start()
        await assigned(first)
        await first.consumer.commit({s: c for s, c in first.assignments[-1].items() if c is not None})
        await first.consumer.close()
        await kind.add_partitions(3)
        await until_it_takes(broker, Outgoing(kind.topic, b"added", partition=2))
        second = Member(broker, kind.topic)
        await second.start()
        found = await second.take(1)
        await second.consumer.close()
        return [record.value for record in found]

    assert run(test()) == [b"added"]


def test_a_topic_that_is_made_later_is_read_from_its_first_record() -> None:
    broker = MemoryBroker({"t": 2}, auto_create_partitions=None, auto_offset_reset="latest")
    broker.put("t", b"old")

    async def test() -> list[bytes | None]:
        member = Member(broker, "t")
        later = broker.topics()
        await member.start()
        await assigned(member)
        await member.consumer.close()
        await later.create(["u"], 1, 1)
        broker.put("u", b"first")
        both = Member(broker, "u", group="group-t")
        await both.start()
        found = await both.take(1)
        await both.consumer.close()
        return [record.value for record in found]

    assert run(test()) == [b"first"]


def latest_worker(topic: str, seen: list[int]) -> type[Worker]:
    async def process(self: Worker, message: int) -> None:
        seen.append(message)

    return type("Latest", (Worker,), {"input_topic": topic, "group_id": topic, "process": process})


async def until_all_are_committed(address: str, topic: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await committed(address, topic)) < 2:  # noqa: ASYNC110 - the broker has no event for it
            await asyncio.sleep(0.1)


def test_nothing_that_comes_while_a_worker_with_latest_is_down_is_passed(
    apache_broker: RunningBroker,
) -> None:
    address, topic, seen = apache_broker.address, apache_broker.make_topic(2), list[int]()
    made = latest_worker(topic, seen)

    async def test() -> None:
        async with running(address, made, kafka_auto_offset_reset="latest"):
            await until_all_are_committed(address, topic)  # nothing has come yet
        await publish(address, topic, [(b"%d" % number, b"%d" % number) for number in range(4)])
        async with running(address, made, kafka_auto_offset_reset="latest") as task:
            await until(lambda: len(seen) == 4, task)

    run(test())
    assert sorted(seen) == [0, 1, 2, 3]
