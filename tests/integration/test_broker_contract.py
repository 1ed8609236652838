"""What the engine may expect of a broker: one suite, held against the one in memory and real ones."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from core_messaging.broker import Broker, Consumer, Subscription
from core_messaging.errors import BrokerUnreachable, CommitRefused, RecordRefused
from core_messaging.kafka.client import KafkaBroker
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.options import TopicPattern
from core_messaging.records import Committed, Outgoing, Record, TopicPartition
from core_messaging.settings import Settings
from tests.integration.brokers import RunningBroker
from tests.integration.harness import PATIENCE, run, settings_for

Made = tuple[Broker, str]


@pytest.fixture(params=["memory", "embedded", "apache"])
def made(request: pytest.FixtureRequest) -> Callable[[], Made]:
    """A broker and a topic of four partitions."""
    if request.param == "memory":
        memory = MemoryBroker({"t": 4})
        memory.refuse_larger_than(1_000_000)
        return lambda: (memory, "t")
    running: RunningBroker = request.getfixturevalue(f"{request.param}_broker")
    topic = running.make_topic()
    return lambda: (KafkaBroker(settings_for(running.address, kafka_session_timeout=6.0)), topic)


class Member:
    """A consumer with what it was told and given."""

    def __init__(
        self, broker: Broker, topic: str, group: str = "", pattern: TopicPattern | None = None
    ) -> None:
        topics = () if pattern is not None else (topic,)
        self.consumer: Consumer = broker.consumer(
            Subscription(group or f"group-{topic}", topics, pattern=pattern)
        )
        self.assignments: list[Mapping[TopicPartition, Committed | None]] = []
        self.revoked: list[frozenset[TopicPartition]] = []
        self.lost: list[frozenset[TopicPartition]] = []
        self.has: dict[TopicPartition, Committed | None] = {}
        self.records: list[Record] = []
        self.on_revoke: Callable[[], Any] | None = None

    async def start(self) -> None:
        await self.consumer.start(self._assigned, self._revoked, self._lost)

    def _assigned(self, commits: Mapping[TopicPartition, Committed | None]) -> None:
        self.assignments.append(commits)
        self.has |= commits

    async def _revoked(self, sources: frozenset[TopicPartition]) -> frozenset[TopicPartition] | None:
        self.revoked.append(sources)
        if self.on_revoke is not None:
            await self.on_revoke()
        self._forget(sources)
        return None

    async def _lost(self, sources: frozenset[TopicPartition]) -> None:
        self.lost.append(sources)
        self._forget(sources)

    def _forget(self, sources: frozenset[TopicPartition]) -> None:
        self.has = {source: commit for source, commit in self.has.items() if source not in sources}

    async def take(self, count: int) -> list[Record]:
        """Until *count* records have come in all."""
        async with asyncio.timeout(PATIENCE):
            while len(self.records) < count:
                for records in (await self.consumer.fetch(1_000, 0.2)).values():
                    assert self.assignments, "records before the assignment was told"
                    self.records += records
        return self.records


@pytest.fixture(params=["memory", "apache"])
def quick(request: pytest.FixtureRequest) -> Broker:
    """A broker whose members notice new topics soon."""
    if request.param == "memory":
        return MemoryBroker(auto_create_partitions=None)
    running: RunningBroker = request.getfixturevalue("apache_broker")
    return KafkaBroker(settings_for(running.address, kafka_metadata_max_age=0.5))


def test_a_pattern_reads_what_matches_also_what_is_created_later_from_its_first_record(quick: Broker) -> None:
    broker, stem = quick, f"pattern-{uuid.uuid4().hex[:8]}"
    pattern = TopicPattern(re.compile(rf"{stem}\.\w+"), frozenset({f"{stem}.dlq"}))

    async def created(name: str) -> str:
        await broker.topics().create([f"{stem}.{name}"], 1, 1)
        return f"{stem}.{name}"

    async def test() -> list[Record]:
        member = Member(broker, stem, pattern=pattern)
        await member.start()  # nothing matches yet
        assert await member.consumer.fetch(10, 0.0) == {}
        queue, first = await created("dlq"), await created("eu")
        await send(broker, Outgoing(first, b"1"))
        await member.take(1)
        await member.consumer.commit({TopicPartition(first, 0): Committed(1, "")})
        second = await created("us")
        await send(broker, Outgoing(queue, b"never"), Outgoing(second, b"2"))
        found = await member.take(2)
        # What the member has is not given up for what comes.
        assert (member.revoked, member.lost) == ([], [])
        assert set(member.has) == {TopicPartition(first, 0), TopicPartition(second, 0)}
        await member.consumer.close()
        return found

    assert [record.value for record in run(test())] == [b"1", b"2"]


async def send(broker: Broker, *records: Outgoing) -> list[int]:
    publisher = broker.publisher()
    await publisher.start()
    try:
        return [(await (await publisher.publish(record))).offset for record in records]
    finally:
        await publisher.close()
        await publisher.close()


def test_records_come_as_they_were_sent_in_order_with_every_oddity(made: Callable[[], Made]) -> None:
    broker, topic = made()
    sent = [
        Outgoing(topic, b"first", b"k", (("h", b"\xff"), ("h", b"again")), partition=1),
        Outgoing(topic, None, b"k", partition=1),
        Outgoing(topic, b"", None, partition=1),
        Outgoing(topic, b"last", b"k", partition=1, timestamp=1_600_000_000_000),
    ]

    async def test() -> list[Record]:
        assert await send(broker, *sent) == [0, 1, 2, 3]
        member = Member(broker, topic)
        await member.start()
        found = await member.take(4)
        await member.consumer.close()
        await member.consumer.close()
        return found

    found = run(test())
    assert [(r.key, r.value, tuple(r.headers), r.partition) for r in found] == [
        (s.key, s.value, s.headers, 1) for s in sent
    ]
    assert found[3].timestamp == 1_600_000_000_000
    assert [r.offset for r in found] == [0, 1, 2, 3]


def test_a_record_without_key_and_value_can_be_sent(made: Callable[[], Made]) -> None:
    broker, topic = made()

    async def test() -> list[Record]:
        await send(broker, Outgoing(topic, None, None, (("h", b"1"),)))
        member = Member(broker, topic)
        await member.start()
        found = await member.take(1)
        await member.consumer.close()
        return found

    (record,) = run(test())
    assert (record.key, record.value, tuple(record.headers)) == (None, None, (("h", b"1"),))


def test_a_key_goes_to_the_partition_that_every_kafka_client_would_choose(made: Callable[[], Made]) -> None:
    broker, topic = made()

    async def test() -> dict[bytes | None, int]:
        await send(broker, *(Outgoing(topic, b"x", b"key-%d" % n) for n in range(20)))
        member = Member(broker, topic)
        await member.start()
        found = await member.take(20)
        await member.consumer.close()
        return {record.key: record.partition for record in found}

    # murmur2, positive, modulo 4: by the client's implementation of it, not by ours.
    assert run(test()) == {key: (murmur2(key) & 0x7FFFFFFF) % 4 for key in (b"key-%d" % n for n in range(20))}


def test_a_new_member_starts_after_the_last_commit_and_gets_its_metadata(made: Callable[[], Made]) -> None:
    broker, topic = made()
    source = TopicPartition(topic, 2)

    async def test() -> tuple[list[Record], Any]:
        await send(broker, *(Outgoing(topic, b"%d" % n, partition=2) for n in range(5)))
        first = Member(broker, topic)
        await first.start()
        await first.take(5)
        assert first.assignments[-1][source] is None
        await first.consumer.commit({source: Committed(3, "1:note")})
        await first.consumer.close()
        second = Member(broker, topic)
        await second.start()
        found = await second.take(2)
        commit = second.assignments[-1][source]
        assert await second.consumer.end_offsets([source]) == {source: 5}
        assert await second.consumer.positions([source]) == {source: 5}
        await second.consumer.close()
        return found, commit

    found, commit = run(test())
    assert [record.value for record in found] == [b"3", b"4"]
    assert commit == Committed(3, "1:note")


def test_a_paused_partition_gives_nothing_and_loses_nothing(made: Callable[[], Made]) -> None:
    broker, topic = made()

    async def test() -> tuple[set[int], list[Record]]:
        await send(broker, *(Outgoing(topic, b"x", partition=n % 2) for n in range(20)))
        member = Member(broker, topic)
        await member.start()
        while not member.assignments:
            await member.consumer.fetch(1, 0.1)
        member.records.clear()
        member.consumer.pause([TopicPartition(topic, 0)])
        first = {record.partition for record in await member.take(8)}
        await member.consumer.keep_alive()
        member.consumer.resume([TopicPartition(topic, 0)])
        found = await member.take(19)
        await member.consumer.close()
        return first, found

    first, found = run(test())
    assert first == {1}
    assert len({(record.partition, record.offset) for record in found}) == len(found)


class PausedFromTheStart(Member):
    """Pauses partition 0 when it is assigned, as an operator's pause does."""

    def _assigned(self, commits: Mapping[TopicPartition, Committed | None]) -> None:
        super()._assigned(commits)
        self.consumer.pause([source for source in commits if source.partition == 0])


def test_a_partition_that_is_paused_when_it_is_assigned_gives_nothing_until_it_is_resumed(
    made: Callable[[], Made],
) -> None:
    broker, topic = made()

    async def test() -> tuple[set[int], set[int]]:
        await send(broker, *(Outgoing(topic, b"x", partition=n % 2) for n in range(10)))
        member = PausedFromTheStart(broker, topic)
        await member.start()
        first = {record.partition for record in await member.take(5)}
        for _ in range(3):
            assert not await member.consumer.fetch(100, 0.2)
        member.consumer.resume([TopicPartition(topic, 0)])
        found = await member.take(10)
        await member.consumer.close()
        return first, {record.offset for record in found if record.partition == 0}

    assert run(test()) == ({1}, set(range(5)))


def test_a_partition_that_is_paused_while_a_fetch_waits_gives_nothing_and_loses_nothing(
    made: Callable[[], Made],
) -> None:
    broker, topic = made()

    async def test() -> list[bytes | None]:
        member = Member(broker, topic)
        await member.start()
        while not member.assignments:
            await member.consumer.fetch(1, 0.1)
        waiting = asyncio.ensure_future(member.consumer.fetch(10, 2.0))
        await asyncio.sleep(0)
        member.consumer.pause([TopicPartition(topic, 0)])
        await send(broker, Outgoing(topic, b"held", partition=0))
        assert not await waiting
        member.consumer.resume([TopicPartition(topic, 0)])
        found = await member.take(1)
        await member.consumer.close()
        return [record.value for record in found]

    assert run(test()) == [b"held"]


def test_fetch_returns_within_its_time_and_not_more_than_asked_for(made: Callable[[], Made]) -> None:
    broker, topic = made()

    async def test() -> None:
        member = Member(broker, topic)
        await member.start()
        async with asyncio.timeout(PATIENCE):
            assert sum(len(r) for r in (await member.consumer.fetch(10, 0.1)).values()) == 0
        await send(broker, *(Outgoing(topic, b"x", partition=n % 4) for n in range(40)))
        async with asyncio.timeout(PATIENCE):
            while not (found := await member.consumer.fetch(7, 0.2)):
                pass
        assert 0 < sum(len(records) for records in found.values()) <= 7
        await member.consumer.close()

    run(test())


def test_a_record_that_is_too_large_is_refused_for_good(made: Callable[[], Made]) -> None:
    broker, topic = made()
    with pytest.raises(RecordRefused):
        run(send(broker, Outgoing(topic, b"x" * 2_000_000)))


@pytest.mark.parametrize("made", ["memory", "apache"], indirect=True)
def test_a_second_member_is_let_in_after_the_first_has_committed_in_its_callback(
    made: Callable[[], Made],
) -> None:
    # The embedded broker has room for one member a group.
    broker, topic = made()
    source = TopicPartition(topic, 0)

    async def poll(member: Member) -> None:
        while True:
            await member.consumer.fetch(100, 0.1)

    async def test() -> None:
        await send(broker, *(Outgoing(topic, b"x", partition=n % 4) for n in range(8)))
        first, second = Member(broker, topic), Member(broker, topic)
        first.on_revoke = lambda: first.consumer.commit({source: Committed(1, "handed over")})
        await first.start()
        await first.take(8)
        async with asyncio.timeout(PATIENCE):
            polling = asyncio.create_task(poll(first))
            await second.start()
            while len(second.has) < 2 or len(first.has) < 2:
                await second.consumer.fetch(100, 0.1)
        polling.cancel()
        held = {**first.has, **second.has}
        assert len(held) == 4
        assert held[source] == Committed(1, "handed over")
        assert first.revoked == [frozenset(second.has)]  # what stays is not taken away
        assert first.lost == second.lost == []
        gone = next(iter(second.has))
        with pytest.raises(CommitRefused):
            await first.consumer.commit({gone: Committed(1)})
        await first.consumer.close()
        await second.consumer.close()

    run(test())


def test_nobody_at_the_address_is_unreachable_after_the_start_timeout() -> None:
    broker = KafkaBroker(Settings(kafka_bootstrap_servers="127.0.0.1:1", kafka_start_timeout=0.6))
    for start in (Member(broker, "t").start, broker.publisher().start):
        with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1"):
            run(start())


def test_a_topic_that_does_not_exist_is_reported_and_can_be_made(apache_broker: RunningBroker) -> None:
    broker = KafkaBroker(settings_for(apache_broker.address))
    existing = apache_broker.make_topic()

    async def test() -> None:
        topics = broker.topics()
        assert await topics.missing([existing, f"{existing}-no"]) == [f"{existing}-no"]
        await topics.create([f"{existing}-no", existing], 3, 1)
        async with asyncio.timeout(PATIENCE):
            while await topics.missing([f"{existing}-no"]):  # noqa: ASYNC110 - a broker has no event for it
                await asyncio.sleep(0.05)

    run(test())
