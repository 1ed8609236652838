"""The in-memory broker keeps the promises of the broker interface, the awkward ones of a consumer group above all."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from core_messaging.broker import Broker, Subscription
from core_messaging.errors import (
    BrokerError,
    BrokerUnreachable,
    CommitRefused,
    PublishFailed,
    RecordRefused,
    TopicMissing,
)
from core_messaging.memory_broker.broker import MemoryBroker, MemoryConsumer
from core_messaging.partitioner import murmur2, partition_of
from core_messaging.records import Committed, Outgoing, Receipt, Record, TopicPartition

FIRST, SECOND = TopicPartition("orders", 0), TopicPartition("orders", 1)
TURNS = 100  # of the loop; nothing in these tests needs more than a few


class Member:
    """A consumer and what the group told it."""

    def __init__(
        self, broker: MemoryBroker, group: str = "billing", topics: tuple[str, ...] = ("orders",)
    ) -> None:
        self.consumer: MemoryConsumer = broker.consumer(Subscription(group, topics))
        self.told: list[str] = []
        self.has: dict[TopicPartition, Committed | None] = {}
        self.may_let_go = asyncio.Event()
        self.may_let_go.set()
        self.last_words: dict[TopicPartition, Committed] = {}
        self.one_comes_first = False  # of the partitions that are given up

    async def join(self) -> Member:
        await self.consumer.start(self.assigned, self.revoked, self.lost)
        return self

    def assigned(self, commits: Mapping[TopicPartition, Committed | None]) -> None:
        self.told.append("assigned")
        self.has |= commits

    async def revoked(self, sources: frozenset[TopicPartition]) -> frozenset[TopicPartition] | None:
        self.told.append("revoked")
        if self.one_comes_first and self.told.count("revoked") == 1:
            self._forget(first := frozenset({min(sources)}))
            return first
        await self.may_let_go.wait()
        if self.last_words:
            await self.consumer.commit(self.last_words)
        self._forget(sources)
        return None

    async def lost(self, sources: frozenset[TopicPartition]) -> None:
        self.told.append("lost")
        self._forget(sources)

    def _forget(self, sources: frozenset[TopicPartition]) -> None:
        self.has = {source: commit for source, commit in self.has.items() if source not in sources}

    async def values(self, limit: int = 100, wait: float = 0.0) -> list[bytes | None]:
        return [
            record.value
            for records in (await self.consumer.fetch(limit, wait)).values()
            for record in records
        ]


class VirtualSelector(selectors.SelectSelector):
    """Instead of waiting, it moves the clock on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for somebody else"
            self.now += timeout
        return ready


def run(test: Coroutine[Any, Any, None]) -> None:
    """On a loop with a virtual clock: a wait of an hour takes no time, and one without an end fails."""

    def make() -> asyncio.SelectorEventLoop:
        selector = VirtualSelector()
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign] # that is how the clock becomes virtual
        return loop

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(test)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(TURNS):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail(f"not so after {TURNS} turns of the loop")


async def settled() -> None:
    """Let everything happen that can happen without time passing."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def alone(broker: MemoryBroker) -> Member:
    member = await Member(broker).join()
    await until(lambda: bool(member.has))
    return member


def test_it_is_a_broker() -> None:
    broker: Broker = MemoryBroker()  # mypy compares it with the interface
    assert broker.address == "memory"


# The expected hashes are those that Kafka's Java client tests itself with.
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_key_goes_where_kafka_would_put_it(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF
    assert partition_of(key, 7) == (expected & 0x7FFFFFFF) % 7
    assert MemoryBroker({"orders": 7}).put("orders", b"", key).partition == partition_of(key, 7)


def test_what_is_put_is_read_with_everything_it_had() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2}, clock=lambda: 1.5)
        receipt = broker.put("orders", None, b"k", [("h", b"1"), ("h", b"2")], partition=1)
        member = await alone(broker)
        fetched = await member.consumer.fetch(10, 0)
        assert receipt == Receipt("orders", 1, 0)
        [record] = fetched[SECOND]
        assert (record.value, record.key, record.headers) == (None, b"k", (("h", b"1"), ("h", b"2")))
        assert (record.topic, record.partition, record.offset, record.timestamp) == ("orders", 1, 0, 1500)
        assert broker.records("orders") == [record]

    run(test())


def test_records_without_a_key_go_to_the_partitions_in_turn() -> None:
    broker = MemoryBroker({"orders": 2})
    assert [broker.put("orders", b"").partition for _ in range(3)] == [0, 1, 0]


def test_a_full_partition_does_not_starve_the_others() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        member = await alone(broker)
        for number in range(4):
            broker.put("orders", b"a%d" % number, partition=0)
        broker.put("orders", b"b", partition=1)
        assert [await member.values(2) for _ in range(3)] == [[b"a0", b"b"], [b"a1", b"a2"], [b"a3"]]

    run(test())


def test_a_fetch_waits_for_a_record_and_not_a_moment_longer() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        member = await alone(broker)
        loop = asyncio.get_running_loop()
        start = loop.time()
        loop.call_later(7, broker.put, "orders", b"late")
        assert await member.values(wait=3600) == [b"late"]
        assert loop.time() - start == pytest.approx(7)

    run(test())


def test_a_fetch_that_finds_nothing_ends_when_its_wait_ends() -> None:
    async def test() -> None:
        member = await alone(MemoryBroker({"orders": 1}))
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert await member.values(wait=30) == []
        assert loop.time() - start == pytest.approx(30)

    run(test())


# The accident: a shutdown cancels the fetch, and what it had taken is skipped by the next one.
def test_a_cancelled_fetch_has_taken_nothing() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        member = await alone(broker)
        fetching = asyncio.create_task(member.values(wait=10))
        await settled()
        broker.put("orders", b"x")
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        assert await member.values() == [b"x"]

    run(test())


def test_a_caller_who_always_finds_records_lets_others_run() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        member = await alone(broker)
        for _ in range(5):
            broker.put("orders", b"")
        ran: list[int] = []
        asyncio.get_running_loop().call_soon(ran.append, 1)
        await member.values(1)
        assert ran == [1]

    run(test())


def test_a_paused_partition_returns_nothing_until_it_is_resumed() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        member = await alone(broker)
        member.consumer.pause([FIRST])
        broker.put("orders", b"a", partition=0)
        broker.put("orders", b"b", partition=1)
        assert await member.values(wait=5) == [b"b"]
        asyncio.get_running_loop().call_later(1, member.consumer.resume, [FIRST])
        assert await member.values(wait=5) == [b"a"]

    run(test())


def test_pausing_what_belongs_to_others_is_harmless() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        member = await alone(broker)
        member.consumer.pause([TopicPartition("orders", 9)])
        member.consumer.resume([TopicPartition("orders", 9)])
        broker.put("orders", b"x")
        assert await member.values() == [b"x"]

    run(test())


def test_keep_alive_takes_no_records() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        member = await alone(broker)
        broker.put("orders", b"x")
        await member.consumer.keep_alive()
        assert await member.values() == [b"x"]

    run(test())


def test_end_offsets_are_those_the_next_records_get() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        member = await alone(broker)
        broker.put("orders", b"x", partition=1)
        assert await member.consumer.end_offsets([FIRST, SECOND]) == {FIRST: 0, SECOND: 1}
        with pytest.raises(TopicMissing):
            await member.consumer.end_offsets([TopicPartition("orders", 9)])

    run(test())


def test_the_next_member_goes_on_at_the_commit_and_gets_its_metadata() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        for value in (b"a", b"b", b"c"):
            broker.put("orders", value)
        member = await alone(broker)
        assert await member.values() == [b"a", b"b", b"c"]
        await member.consumer.commit({FIRST: Committed(1, "done: 2")})
        await member.consumer.close()
        heir = await alone(broker)
        assert heir.has == {FIRST: Committed(1, "done: 2")}
        assert await heir.values() == [b"b", b"c"]
        assert broker.committed("billing", "orders") == {0: Committed(1, "done: 2")}
        assert broker.committed("shipping", "orders") == {}

    run(test())


def test_two_groups_read_the_same_records() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        one, two = await Member(broker).join(), await Member(broker, "shipping").join()
        await until(lambda: bool(one.has and two.has))
        broker.put("orders", b"x")
        assert (await one.values(), await two.values()) == ([b"x"], [b"x"])

    run(test())


def test_members_share_the_partitions_and_one_too_many_has_none() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        members = [await Member(broker).join() for _ in range(3)]
        await until(lambda: all(member.told for member in members))
        assert [list(member.has) for member in members] == [[FIRST], [SECOND], []]

    run(test())


# The accident: the new owner reads what the old one still works on.
def test_a_partition_goes_to_nobody_before_its_owner_has_let_go_and_the_others_go_on() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 3})
        slow = await alone(broker)
        slow.may_let_go.clear()
        late = await Member(broker).join()
        await settled()
        assert slow.told == ["assigned", "assigned", "revoked"]  # the second time nothing was added
        assert (late.told, late.has) == (["assigned"], {})
        for number in range(3):
            broker.put("orders", b"%d" % number, partition=number)
        assert await slow.values() == [b"1", b"2"]
        await slow.consumer.commit({SECOND: Committed(1)})
        slow.may_let_go.set()
        await until(lambda: list(late.has) == [FIRST])
        assert list(slow.has) == [SECOND, TopicPartition("orders", 2)]
        assert broker.committed("billing", "orders") == {1: Committed(1)}

    run(test())


def test_a_partition_that_is_given_up_returns_no_records_meanwhile() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        slow = await alone(broker)
        slow.may_let_go.clear()
        heir = await Member(broker).join()
        await until(lambda: slow.told[-1] == "revoked")
        broker.put("orders", b"x", partition=0)
        assert await slow.values(wait=60) == []
        slow.may_let_go.set()
        assert await heir.values(wait=60) == [b"x"]

    run(test())


def test_a_commit_made_while_letting_go_counts() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        broker.put("orders", b"x", partition=0)
        leaving = await alone(broker)
        leaving.last_words = {FIRST: Committed(1)}
        newcomer = await Member(broker).join()
        await until(lambda: bool(newcomer.has))
        assert broker.committed("billing", "orders") == {0: Committed(1)}
        assert newcomer.has == {FIRST: Committed(1)}

    run(test())


def test_one_who_joins_during_a_rebalance_is_in_its_outcome() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 3})
        slow = await alone(broker)
        slow.may_let_go.clear()
        second = await Member(broker).join()
        await settled()
        third = await Member(broker).join()
        await settled()
        slow.may_let_go.set()
        await settled()
        assert [len(member.has) for member in (slow, second, third)] == [1, 1, 1]

    run(test())


def test_what_a_member_has_given_up_goes_to_another_while_it_needs_longer_for_the_rest() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 4})
        slow = await alone(broker)
        slow.may_let_go.clear()
        slow.one_comes_first = True
        other = await Member(broker).join()
        await until(lambda: len(other.has) == 1)
        await settled()
        assert [len(slow.has), slow.told.count("revoked")] == [3, 2]
        first = set(other.has)
        await slow.consumer.commit(dict.fromkeys(slow.has, Committed(0, "still mine")))
        slow.may_let_go.set()
        await until(lambda: len(other.has) == 2)
        assert [other.has[source] for source in other.has.keys() - first] == [Committed(0, "still mine")]

    run(test())


def test_a_dead_member_holds_up_a_newcomer_until_its_session_ends_and_nobody_else() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        dead, lives = await Member(broker).join(), await Member(broker).join()
        await until(lambda: bool(dead.has and lives.has))
        dead.consumer.vanish(30.0)
        late = await Member(broker).join()
        await settled()
        assert late.told == []
        broker.put("orders", b"x", partition=1)
        assert await lives.values() == [b"x"]
        await lives.consumer.commit({SECOND: Committed(1)})
        await asyncio.sleep(31)
        await until(lambda: list(late.has) == [FIRST])
        assert lives.told == ["assigned", "assigned"]

    run(test())


def test_a_member_that_is_taken_for_dead_has_lost_all_and_joins_again() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        member = await alone(broker)
        member.consumer.expel(unaware=3.0)
        with pytest.raises(CommitRefused):
            await member.consumer.commit({FIRST: Committed(1)})
        await settled()
        assert member.told == ["assigned"]
        await asyncio.sleep(3)
        await until(lambda: member.told == ["assigned", "lost", "assigned"])
        assert list(member.has) == [FIRST, SECOND]
        await member.consumer.commit({FIRST: Committed(1)})

    run(test())


def test_a_member_that_stands_still_holds_up_a_newcomer_and_keeps_its_partitions_if_it_goes_on_in_time() -> (
    None
):
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        frozen = await alone(broker)
        frozen.consumer.freeze(30.0)
        late = await Member(broker).join()
        await asyncio.sleep(20)
        assert late.told == []
        frozen.consumer.thaw()
        await until(lambda: len(frozen.has) == len(late.has) == 1)
        assert "lost" not in frozen.told

    run(test())


def test_a_member_that_stands_still_for_longer_than_its_session_has_lost_all_and_joins_again() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        frozen = await alone(broker)
        frozen.consumer.freeze(30.0)
        late = await Member(broker).join()
        await asyncio.sleep(31)
        assert list(late.has) == [FIRST, SECOND]
        assert frozen.told == ["assigned"]
        with pytest.raises(CommitRefused):
            await frozen.consumer.commit({FIRST: Committed(1)})
        frozen.consumer.thaw()
        await until(lambda: len(frozen.has) == len(late.has) == 1)
        assert frozen.told[:2] == ["assigned", "lost"]

    run(test())


def test_without_a_coordinator_nobody_is_let_in_and_no_commit_is_stored_and_members_keep_what_they_have() -> (
    None
):
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        member = await alone(broker)
        broker.move_coordinator("billing", 5.0)
        late = await Member(broker).join()
        await settled()
        assert (late.told, member.told) == ([], ["assigned"])
        with pytest.raises(BrokerError, match="coordinator"):
            await member.consumer.commit({FIRST: Committed(1)})
        broker.put("orders", b"x", partition=0)
        assert await member.values() == [b"x"]
        await asyncio.sleep(6)
        await until(lambda: len(member.has) == len(late.has) == 1)
        kept = next(iter(member.has))
        await member.consumer.commit({kept: Committed(1)})

    run(test())


def test_a_partition_that_is_added_is_read_from_its_first_record_and_takes_nothing_away() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        member = await alone(broker)
        broker.add_partitions("orders", 2)
        broker.put("orders", b"x", partition=1)
        await until(lambda: SECOND in member.has)
        assert await member.values() == [b"x"]
        assert member.told == ["assigned", "assigned"]

    run(test())


@pytest.mark.parametrize(("topic", "partitions"), [("orders", 2), ("orders", 1), ("other", 3)])
def test_a_topic_is_not_made_smaller_and_one_that_is_missing_gets_no_partitions(
    topic: str, partitions: int
) -> None:
    with pytest.raises(BrokerError):
        MemoryBroker({"orders": 2}).add_partitions(topic, partitions)


# The accident: it commits what it has finished in partitions that are somebody else's by now.
def test_a_partition_that_is_lost_while_it_is_given_up_is_not_committed_any_more() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        slow = await alone(broker)
        slow.may_let_go.clear()
        slow.last_words = {FIRST: Committed(1)}
        other = await Member(broker).join()
        await until(lambda: slow.told[-1] == "revoked")
        slow.consumer.expel()
        await until(lambda: FIRST in other.has and SECOND in other.has)
        slow.may_let_go.set()
        await settled()
        assert broker.committed("billing", "orders") == {}
        assert slow.told[:4] == ["assigned", "assigned", "revoked", "lost"]

    run(test())


def test_what_a_member_leaves_goes_to_the_others() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        stays, goes = await Member(broker).join(), await Member(broker).join()
        await until(lambda: bool(stays.has and goes.has))
        await goes.consumer.close()
        await goes.consumer.close()
        await until(lambda: len(stays.has) == 2)
        assert goes.told == ["assigned"]  # leaving is no rebalance to the one who leaves

    run(test())


def test_a_commit_is_refused_where_the_partition_is_not_the_members_any_more() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        one, two = await Member(broker).join(), await Member(broker).join()
        await until(lambda: bool(one.has and two.has))
        with pytest.raises(CommitRefused):
            await one.consumer.commit({FIRST: Committed(1), SECOND: Committed(1)})
        await one.consumer.close()
        with pytest.raises(CommitRefused):
            await one.consumer.commit({FIRST: Committed(1)})
        assert broker.committed("billing", "orders") == {}

    run(test())


def test_closing_while_letting_go_waits_and_its_commit_counts() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        leaving = await alone(broker)
        leaving.may_let_go.clear()
        leaving.last_words = {FIRST: Committed(5)}
        heir = await Member(broker).join()
        await until(lambda: leaving.told[-1] == "revoked")
        closing = asyncio.create_task(leaving.consumer.close())
        await settled()
        assert not closing.done()
        assert heir.has == {}
        leaving.may_let_go.set()
        await closing
        await until(lambda: len(heir.has) == 2)
        assert heir.has == {FIRST: Committed(5), SECOND: None}
        assert leaving.told == ["assigned", "assigned", "revoked"]

    run(test())


def test_a_member_may_close_itself_while_letting_go() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        leaving = broker.consumer(Subscription("billing", ("orders",)))
        had: list[TopicPartition] = []

        async def close(_: frozenset[TopicPartition]) -> None:
            await leaving.close()

        await leaving.start(had.extend, close, close)
        await until(lambda: bool(had))
        heir = await Member(broker).join()
        await until(lambda: len(heir.has) == 2)

    run(test())


def test_a_callback_that_fails_breaks_its_member_and_not_the_group() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 2})
        broken = broker.consumer(Subscription("billing", ("orders",)))

        async def fail(_: frozenset[TopicPartition]) -> None:
            raise ZeroDivisionError

        had: list[TopicPartition] = []
        await broken.start(had.extend, fail, fail)
        await until(lambda: bool(had))
        other = await Member(broker).join()
        await until(lambda: bool(other.has))
        with pytest.raises(BrokerError, match="ZeroDivisionError") as caught:
            await broken.fetch(1, 60)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    run(test())


def test_a_member_waiting_for_records_hears_that_it_was_closed() -> None:
    async def test() -> None:
        member = await alone(MemoryBroker({"orders": 1}))
        asyncio.get_running_loop().call_later(1, asyncio.ensure_future, member.consumer.close())
        with pytest.raises(BrokerError, match="not in its group"):
            await member.consumer.fetch(1, 3600)

    run(test())


def test_a_process_that_died_without_leaving_does_not_hold_its_partitions() -> None:
    broker = MemoryBroker({"orders": 1})

    async def first() -> None:
        await alone(broker)

    async def second() -> None:
        heir = await alone(broker)
        broker.put("orders", b"x")
        assert await heir.values() == [b"x"]

    run(first())
    run(second())


def test_a_topic_made_later_is_shared_out_then() -> None:
    async def test() -> None:
        broker = MemoryBroker(auto_create_partitions=None)
        member = await Member(broker).join()
        await until(lambda: bool(member.told))
        assert member.has == {}
        await broker.topics().create(["orders"], 1, 1)
        await until(lambda: list(member.has) == [FIRST])

    run(test())


def test_topics_are_missing_only_where_they_are_not_made_by_themselves() -> None:
    async def test() -> None:
        strict = MemoryBroker({"orders": 1}, auto_create_partitions=None)
        assert await strict.topics().missing(["orders", "invoices"]) == ["invoices"]
        with pytest.raises(TopicMissing):
            strict.put("invoices", b"")
        assert await MemoryBroker().topics().missing(["invoices"]) == []
        await strict.topics().create(["orders"], 9, 1)  # exists: stays as it is
        with pytest.raises(RecordRefused, match="no partition 1"):
            strict.put("orders", b"", partition=1)

    run(test())


def test_published_records_are_stored_in_order_and_acknowledged() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1}, clock=lambda: 2)
        publisher = broker.publisher()
        await publisher.start()
        answers = [
            await publisher.publish(Outgoing("orders", b"%d" % n, timestamp=n or None)) for n in range(3)
        ]
        assert [await answer for answer in answers] == [Receipt("orders", 0, n) for n in range(3)]
        stored: list[Record] = broker.records("orders")
        assert [(record.value, record.timestamp) for record in stored] == [(b"0", 2000), (b"1", 1), (b"2", 2)]
        await publisher.close()
        with pytest.raises(PublishFailed):
            await (await publisher.publish(Outgoing("orders", b"late")))

    run(test())


def test_publishing_to_a_missing_topic_may_work_later() -> None:
    async def test() -> None:
        publisher = MemoryBroker(auto_create_partitions=None).publisher()
        await publisher.start()
        with pytest.raises(PublishFailed, match="orders"):
            await (await publisher.publish(Outgoing("orders", b"")))

    run(test())


def test_publishes_fail_as_often_as_asked_and_for_that_topic_only() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1, "invoices": 1})
        publisher = broker.publisher()
        await publisher.start()
        broker.fail_publishes("orders", 1)
        await (await publisher.publish(Outgoing("invoices", b"")))
        with pytest.raises(PublishFailed):
            await (await publisher.publish(Outgoing("orders", b"lost")))
        await (await publisher.publish(Outgoing("orders", b"kept")))
        assert [record.value for record in broker.records("orders")] == [b"kept"]

    run(test())


def test_a_record_that_is_too_large_is_refused_for_good() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        publisher = broker.publisher()
        await publisher.start()
        broker.refuse_larger_than(4)
        await (await publisher.publish(Outgoing("orders", b"1", b"2", (("3", b"4"),))))
        with pytest.raises(RecordRefused, match="5 bytes"):
            await publisher.publish(Outgoing("orders", b"12345"))
        broker.refuse_larger_than(None)
        await (await publisher.publish(Outgoing("orders", b"12345")))
        assert len(broker.records("orders")) == 2

    run(test())


def test_commits_fail_as_often_as_asked_and_leave_the_member_alive() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        member = await alone(broker)
        broker.fail_commits(1)
        with pytest.raises(BrokerError, match="fail_commits") as caught:
            await member.consumer.commit({FIRST: Committed(1)})
        assert not isinstance(caught.value, CommitRefused)
        assert broker.committed("billing", "orders") == {}
        await member.consumer.commit({FIRST: Committed(1)})
        assert broker.committed("billing", "orders") == {0: Committed(1)}

    run(test())


def test_a_member_whose_fetch_failed_stays_broken_and_the_next_one_works() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        member = await alone(broker)
        broker.put("orders", b"x")
        broker.fail_fetches(1)
        for _ in range(2):
            with pytest.raises(BrokerError, match="fail_fetches"):
                await member.consumer.fetch(1, 0)
        await member.consumer.close()
        assert await (await alone(broker)).values() == [b"x"]

    run(test())


def test_nothing_starts_while_the_broker_is_unreachable() -> None:
    async def test() -> None:
        broker = MemoryBroker({"orders": 1})
        broker.unreachable = True
        for start in (
            Member(broker).join,
            broker.publisher().start,
            lambda: broker.topics().missing(["orders"]),
        ):
            with pytest.raises(BrokerUnreachable):
                await start()
        broker.unreachable = False
        assert list((await alone(broker)).has) == [FIRST]

    run(test())
