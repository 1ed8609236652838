"""What a rebalance does to those whom it does not concern: nothing. On Apache Kafka, also beside other clients."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import confluent_kafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.protocol.group import LeaveGroupRequest

from chaos.ledger import Ledger, project
from core_messaging.broker import Broker
from core_messaging.errors import CommitRefused, ConfigurationError
from core_messaging.kafka.client import KafkaBroker
from core_messaging.local_broker import artifacts
from core_messaging.partitioner import partition_of
from core_messaging.records import Committed, Outgoing, TopicPartition
from tests.integration.brokers import RunningBroker, require_apache
from tests.integration.commands import Running, running_core
from tests.integration.harness import PATIENCE, committed, publish, run, settings_for
from tests.integration.test_broker_contract import Member, send
from tests.integration.test_joining_a_group import members_of

pytestmark = pytest.mark.timeout(300)


def broker_of(running: RunningBroker) -> Broker:
    return KafkaBroker(
        settings_for(running.address, kafka_session_timeout=10.0, kafka_heartbeat_interval=0.3)
    )


class OneAfterTheOther(Member):
    """Gives up one of its partitions at once, and the others when it may."""

    def __init__(self, broker: Broker, topic: str, group: str = "") -> None:
        super().__init__(broker, topic, group)
        self.may_let_go = asyncio.Event()

    async def _revoked(self, sources: frozenset[TopicPartition]) -> frozenset[TopicPartition] | None:
        if self.revoked:
            await self.may_let_go.wait()
            return await super()._revoked(sources)
        first = frozenset({min(sources)})
        await super()._revoked(first)
        return first


MadeMember = TypeVar("MadeMember", bound=Member)


def polled(broker: Broker, topic: str) -> AbstractAsyncContextManager[Member]:
    """A member that fetches all the time."""
    return polling(Member(broker, topic, topic))


@asynccontextmanager
async def polling(member: MadeMember) -> AsyncIterator[MadeMember]:
    await member.start()

    async def poll() -> None:
        while True:
            for records in (await member.consumer.fetch(1_000, 0.1)).values():
                member.records += records

    task = asyncio.create_task(poll())
    try:
        yield member
    finally:
        task.cancel()
        await asyncio.wait([task])
        await member.consumer.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - members have no event for it
            await asyncio.sleep(0.02)


def settled(partitions: int, *members: Member) -> bool:
    """Each partition has one owner, and none has two more than another."""
    shares = [len(member.has) for member in members]
    return sum(shares) == partitions and max(shares) - min(shares) < 2


def test_who_joins_interrupts_nothing_that_stays(apache_broker: RunningBroker) -> None:
    topic = apache_broker.make_topic()

    async def test() -> None:
        broker = broker_of(apache_broker)
        async with polled(broker, topic) as first:
            await until(lambda: len(first.has) == 4)
            async with polled(broker, topic) as second:
                await until(lambda: settled(4, first, second))
            assert [len(gone) for gone in first.revoked] == [2]
            await until(lambda: len(first.has) == 4)
            assert len(first.revoked) == 1  # the other one left, which takes nothing away
            assert first.lost == second.lost == []

    run(test())


# The accident: a handler of ten seconds in one partition kept the whole group waiting.
def test_what_takes_long_to_give_up_holds_up_its_own_partition_only(apache_broker: RunningBroker) -> None:
    topic = apache_broker.make_topic()

    async def test() -> None:
        broker = broker_of(apache_broker)
        async with polled(broker, topic) as slow:
            await until(lambda: len(slow.has) == 4)
            held = asyncio.Event()
            slow.on_revoke = held.wait
            async with polled(broker, topic) as second:
                await until(lambda: slow.revoked and second.assignments)
                (leaving,) = slow.revoked
                assert second.has == {}
                kept = next(iter(slow.has.keys() - leaving))
                await send(broker, Outgoing(topic, b"kept", partition=kept.partition))
                await until(lambda: [record.value for record in slow.records] == [b"kept"])
                await slow.consumer.commit({kept: Committed(1)})
                # What it gives up is still its own, through another rebalance as well.
                async with polled(broker, topic) as third:
                    await until(lambda: third.assignments)
                    await slow.consumer.commit(dict.fromkeys(leaving, Committed(0, "still mine")))
                    assert not leaving & (second.has.keys() | third.has.keys())
                    held.set()
                    await until(lambda: settled(4, slow, second, third))
                    taken = second.has | third.has
                    assert {taken[s] for s in leaving & taken.keys()} == {Committed(0, "still mine")}

    run(test())


# The accident: of two partitions that moved, the one that was free waited for the handler of the other one.
def test_what_is_given_up_goes_to_its_new_owner_while_the_rest_takes_long(
    apache_broker: RunningBroker,
) -> None:
    topic = apache_broker.make_topic()

    async def test() -> None:
        broker = broker_of(apache_broker)
        async with polling(OneAfterTheOther(broker, topic, topic)) as slow:
            await until(lambda: len(slow.has) == 4)
            async with polled(broker, topic) as second:
                await until(lambda: second.has)
                assert [second.has.keys(), len(slow.has)] == [slow.revoked[0], 3]
                await slow.consumer.commit(dict.fromkeys(slow.has, Committed(0, "still mine")))
                slow.may_let_go.set()
                await until(lambda: settled(4, slow, second))
                assert Committed(0, "still mine") in second.has.values()
                assert slow.lost == []

    run(test())


def test_many_rebalances_at_once_end_with_one_owner_for_each_partition(apache_broker: RunningBroker) -> None:
    topic = apache_broker.make_topic(partitions=7)

    async def test() -> None:
        broker = broker_of(apache_broker)
        async with polled(broker, topic) as first, polled(broker, topic) as second:
            await until(lambda: first.has)
            async with polled(broker, topic) as third, polled(broker, topic) as fourth:
                await until(lambda: settled(7, first, second, third, fourth))
            async with polled(broker, topic) as fifth:
                await until(lambda: settled(7, first, second, fifth))
                owned = [*first.has, *second.has, *fifth.has]
                assert len(set(owned)) == 7

    run(test())


def test_a_member_that_its_group_does_not_know_any_more_has_lost_all_and_joins_again(
    apache_broker: RunningBroker,
) -> None:
    topic = apache_broker.make_topic()

    async def test() -> None:
        broker = broker_of(apache_broker)
        async with polled(broker, topic) as member, polled(broker, topic) as other:
            await until(lambda: settled(4, member, other))
            mine = frozenset(member.has)
            coordinator = coordinator_of(member)
            await coordinator._send_req(LeaveGroupRequest(topic, coordinator.member_id))
            await until(lambda: member.lost)
            assert member.lost == [mine]
            await until(lambda: settled(4, member, other))
            assert other.lost == []
            gone = next(iter(other.has))
            with pytest.raises(CommitRefused):
                await member.consumer.commit({gone: Committed(1)})

    run(test())


def coordinator_of(member: Member) -> Any:
    return member.consumer._client._coordinator  # type: ignore[attr-defined]


async def end_coordination(member: Member) -> None:
    """Let it be as if the process of *member* were gone, so that closing it waits for nothing."""
    task = coordinator_of(member)._coordination_task
    task.cancel()
    await asyncio.wait([task])


# The accident: the group waits for a leader that is dead, and whoever is in it believes that it has lost everything.
def test_a_leader_that_dies_while_it_shares_out_is_replaced_and_the_others_keep_what_they_have(
    apache_broker: RunningBroker,
) -> None:
    topic = apache_broker.make_topic()

    async def test() -> None:
        broker = broker_of(apache_broker)
        async with polled(broker, topic) as leader:
            await until(lambda: len(leader.has) == 4)
            async with polled(broker, topic) as other:
                await until(lambda: settled(4, leader, other))
                kept, dying = frozenset(other.has), asyncio.Event()

                async def die(_response: object) -> None:
                    dying.set()
                    await asyncio.Event().wait()

                coordinator_of(leader)._perform_assignment = die
                async with polled(broker, topic) as third:
                    await dying.wait()
                    await until(lambda: settled(4, other, third))
                    assert other.lost == []
                    assert kept <= other.has.keys()
                    await other.consumer.commit(dict.fromkeys(kept, Committed(0, "still mine")))
                await end_coordination(leader)

    run(test())


def test_partitions_that_are_added_go_to_somebody_and_take_nothing_away(apache_broker: RunningBroker) -> None:
    topic = apache_broker.make_topic(partitions=2)

    async def test() -> None:
        settings = settings_for(
            apache_broker.address, kafka_metadata_max_age=0.5, kafka_heartbeat_interval=0.3
        )
        broker = KafkaBroker(settings)
        async with polled(broker, topic) as first, polled(broker, topic) as second:
            await until(lambda: settled(2, first, second))
            told = len(first.revoked) + len(second.revoked)
            admin = AIOKafkaAdminClient(bootstrap_servers=apache_broker.address)
            await admin.start()
            await admin.create_partitions({topic: NewPartitions(6)})
            await admin.close()
            await until(lambda: settled(6, first, second))
            assert len(first.revoked) + len(second.revoked) == told

    run(test())


@contextmanager
def librdkafka(address: str, topic: str) -> Iterator[set[int]]:
    """A member by librdkafka that polls in a thread, and the partitions that it has."""
    has: set[int] = set()
    options = {
        "bootstrap.servers": address,
        "group.id": topic,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 300,
        "auto.offset.reset": "earliest",
    }
    consumer, over = confluent_kafka.Consumer(options), threading.Event()

    def assigned(_consumer: Any, partitions: list[Any]) -> None:
        has.update(source.partition for source in partitions)

    def revoked(_consumer: Any, partitions: list[Any]) -> None:
        has.difference_update(source.partition for source in partitions)

    def poll() -> None:
        while not over.is_set():
            consumer.poll(0.1)

    consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked)
    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield has
    finally:
        over.set()
        thread.join()
        consumer.close()


JAVA = """
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class Member {
    public static void main(String[] arguments) {
        var over = new Thread(() -> { try { System.in.read(); } catch (java.io.IOException error) { } });
        over.start();
        var options = new Properties();
        options.put("bootstrap.servers", arguments[0]);
        options.put("group.id", arguments[1]);
        options.put("session.timeout.ms", "10000");
        options.put("heartbeat.interval.ms", "300");
        options.put("partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
        options.put("key.deserializer", ByteArrayDeserializer.class.getName());
        options.put("value.deserializer", ByteArrayDeserializer.class.getName());
        try (var consumer = new KafkaConsumer<byte[], byte[]>(options)) {
            consumer.subscribe(List.of(arguments[1]), new ConsumerRebalanceListener() {
                public void onPartitionsAssigned(Collection<TopicPartition> added) { tell("+", added); }
                public void onPartitionsRevoked(Collection<TopicPartition> gone) { tell("-", gone); }
                void tell(String sign, Collection<TopicPartition> sources) {
                    for (var source : sources) System.out.println(sign + source.partition());
                }
            });
            while (over.isAlive()) consumer.poll(Duration.ofMillis(100));
        }
    }
}
"""


@contextmanager
def java(address: str, topic: str) -> Iterator[set[int]]:
    """A member by Java's client, and the partitions that it has."""
    require_apache()
    has: set[int] = set()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "Member.java"
        program.write_text(JAVA)
        command = [artifacts.java(), "-cp", f"{artifacts.kafka_jars()}/*", str(program), address, topic]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

        def read() -> None:
            for line in process.stdout or ():
                if line[0] in "+-":
                    (has.add if line[0] == "+" else has.discard)(int(line[1:]))

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield has
        finally:
            assert process.stdin is not None
            process.stdin.close()  # the end of its input ends it
            process.wait()
            thread.join()
            assert process.stdout is not None
            process.stdout.close()  # not before the thread has read it to its end


CLIENTS = {"librdkafka": librdkafka, "java": java}


@pytest.mark.parametrize("leader", ["theirs", "ours"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_consumer_of_another_client_is_a_member_of_the_same_group(
    apache_broker: RunningBroker, client: str, leader: str
) -> None:
    topic, theirs = apache_broker.make_topic(partitions=6), CLIENTS[client]

    async def test() -> None:
        broker = broker_of(apache_broker)
        with ExitStack() as stack:
            other: set[int] = set()
            if leader == "theirs":
                other = stack.enter_context(theirs(apache_broker.address, topic))
                await until(lambda: len(other) == 6)
            async with polled(broker, topic) as ours:
                if leader == "ours":
                    await until(lambda: len(ours.has) == 6)
                    other = stack.enter_context(theirs(apache_broker.address, topic))
                await until(lambda: (len(other), len(ours.has)) == (3, 3))
                assert {source.partition for source in ours.has} | other == set(range(6))
                await asyncio.to_thread(stack.close)  # it waits for a process, and ours goes on meanwhile
                await until(lambda: len(ours.has) == 6)
                assert ours.lost == []
                # Only what moved to the other one was taken away.
                assert [len(gone) for gone in ours.revoked] == ([3] if leader == "ours" else [])

    run(test())


def test_members_of_three_clients_share_the_partitions_of_one_group(apache_broker: RunningBroker) -> None:
    topic, address = apache_broker.make_topic(partitions=8), apache_broker.address

    async def test() -> None:
        broker = broker_of(apache_broker)
        async with polled(broker, topic) as first, polled(broker, topic) as second:
            await until(lambda: settled(8, first, second))
            with ExitStack() as stack:
                javas = stack.enter_context(java(address, topic))
                librdkafkas = stack.enter_context(librdkafka(address, topic))
                await until(
                    lambda: [len(has) for has in (first.has, second.has, javas, librdkafkas)] == [2, 2, 2, 2]
                )
                mine = {source.partition for source in first.has | second.has}
                assert mine | javas | librdkafkas == set(range(8))
                await asyncio.to_thread(stack.close)  # it waits for a process, and ours go on meanwhile
            await until(lambda: settled(8, first, second))
            assert first.lost == second.lost == []

    run(test())


def test_a_client_without_a_name_that_is_needed_is_refused_by_that_name(
    apache_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("aiokafka.consumer.fetcher.Fetcher._notify")

    async def test() -> None:
        member = Member(broker_of(apache_broker), "any")
        with pytest.raises(ConfigurationError, match=r"has no Fetcher\._notify.*aiokafka>=0\.14,<0\.15"):
            await member.start()
        monkeypatch.undo()
        await member.consumer.close()

    run(test())


class Fleet:
    """Processes of one group, and who of them handles which partition."""

    def __init__(self, broker: RunningBroker, topic: str, folder: Path, session: float = 12.0) -> None:
        self._session = session
        self.address, self._topic, self._folder = broker.address, topic, folder
        self._numbers = itertools.count()
        self.each = 0  # messages that were sent to each partition
        self.keys: dict[int, str] = {}  # partition -> a key of it
        for number in itertools.count():
            self.keys.setdefault(partition_of(b"key-%d" % number, 6), f"key-{number}")
            if len(self.keys) == 6:
                break
        self.ledger = Ledger(folder)

    def join(self, **others: str) -> Any:
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.address,
            "KAFKA_SESSION_TIMEOUT": str(self._session),
            "KAFKA_HEARTBEAT_INTERVAL": "0.3",
            **others,
        }
        return running_core("kafka", "worker", "Ledger", folder=self._folder, env=variables)

    def send(self, each: int) -> dict[int, set[int]]:
        """*each* messages for each partition: partition -> their numbers."""
        numbers: dict[int, set[int]] = {partition: set() for partition in self.keys}
        records = []
        self.each += each
        for _ in range(each):
            for partition, key in self.keys.items():
                number = next(self._numbers)
                numbers[partition].add(number)
                value = {"n": number, "key": key, "seconds": 0.001}
                records.append((key.encode(), json.dumps(value).encode()))
        run(publish(self.address, self._topic, records))
        return numbers

    def committed(self, partitions: Collection[int]) -> bool:
        """Whether the commits of *partitions* have come to their ends."""
        commits = run(committed(self.address, self._topic, self._topic, 6))
        return all(commits.get(partition, (0, ""))[0] == self.each for partition in partitions)

    def owners(self, process: Running) -> dict[int, int]:
        """Send a message for each partition: partition -> the process that has handled it."""
        sent = self.send(1)
        wanted = set().union(*sent.values())
        process.until(lambda: wanted <= self.ledger.finished())
        by_number = {entry.number: entry.pid for entry in self.ledger.entries() if entry.event == "finish"}
        return {partition: by_number[number] for partition, (number,) in sent.items()}


# The accident: one process of three was killed, and the whole group handled nothing until its session had ended.
def test_a_killed_process_stops_nobody_else(apache_broker: RunningBroker, tmp_path: Path) -> None:
    # What is shown happens before the session of the dead one ends. On a busy machine it needs a longer one.
    for session in (8.0, 24.0, 60.0):
        if _others_go_on(apache_broker, tmp_path / f"session-{session:g}", session):
            return
    raise AssertionError("the group waited no more, each time, so nothing is shown")


def _others_go_on(broker: RunningBroker, folder: Path, session: float) -> bool:
    """Kill one process of three. Return whether the group still waited for it when the others had done their share."""
    topic, dlq = broker.make_topic(partitions=6), broker.make_topic()
    fleet = Fleet(broker, topic, project(folder, topic, dlq), session)
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(fleet.join()) for _ in range(3))
        owners: dict[int, int] = {}

        def shared_out() -> bool:
            owners.update(fleet.owners(first))
            return len(set(owners.values())) == 3

        first.until(shared_out)
        third.process.kill()
        third.process.wait()
        dead = {partition for partition, pid in owners.items() if pid == third.process.pid}
        # As on another machine: nobody there can tell that the process has died.
        replacement = stack.enter_context(fleet.join(KAFKA_REPORT_DEAD_MEMBERS="false"))
        # The group waits for the dead one: from here on an eager member would do nothing.
        first.until(lambda: run(members_of(fleet.address, topic)) == 4)
        sent = fleet.send(20)
        survivors = set().union(*(sent[partition] for partition in owners.keys() - dead))
        waiting = set().union(*(sent[partition] for partition in dead))
        first.until(lambda: survivors <= fleet.ledger.finished())
        first.until(lambda: fleet.committed(owners.keys() - dead))
        shown = not waiting & fleet.ledger.finished()
        first.until(lambda: waiting <= fleet.ledger.finished())
        first.until(lambda: replacement.process.pid in fleet.owners(first).values())
        said = "\n".join(process.output for process in (first, second, replacement))
        assert "from a process that did not leave the group" in said
    assert fleet.ledger.out_of_order() == []
    assert {number for _, number in fleet.ledger.repeats()} <= waiting | set(range(60))
    assert second.process.pid in owners.values()
    return shown


# The accident: a process that was stopped for longer than its session went on committing what others had by then.
def test_a_frozen_process_that_wakes_up_has_lost_its_partitions_and_says_so(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = apache_broker.make_topic(partitions=6), apache_broker.make_topic()
    fleet = Fleet(apache_broker, topic, project(tmp_path, topic, dlq), session=6.0)
    with ExitStack() as stack:
        frozen, other = (stack.enter_context(fleet.join()) for _ in range(2))
        other.until(lambda: len(set(fleet.owners(other).values())) == 2)
        other.until(lambda: fleet.committed(range(6)))
        frozen.signal(signal.SIGSTOP)
        sent = set().union(*fleet.send(10).values())
        other.until(lambda: sent <= fleet.ledger.finished())
        assert set(fleet.owners(other).values()) == {other.process.pid}
        frozen.signal(signal.SIGCONT)
        frozen.until_said("was taken for dead by its group")
        other.until(lambda: len(set(fleet.owners(other).values())) == 2)
        assert "was taken for dead" not in other.output
    assert fleet.ledger.out_of_order() == []
    # The broker may have answered its last fetch while it was frozen.
    assert {number for _, number in fleet.ledger.repeats()} <= sent
