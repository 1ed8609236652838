"""The partitions of a dead process do not wait for its session, and static members leave and settle, on Apache Kafka.

The session is far longer in all of these tests than any of them waits for anything. So what they see is not its end.
"""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from chaos.ledger import Ledger, messages, project
from core_messaging.kafka.client import KafkaBroker
from core_messaging.kafka.consumer import KafkaConsumer
from core_messaging.kafka.dead_members import report_dead_processes
from core_messaging.kafka.leave_group import report_dead_members
from core_messaging.kafka.member_places import PLACES, Group
from tests.integration.brokers import RunningBroker
from tests.integration.commands import running_core
from tests.integration.harness import PATIENCE, publish, run, settings_for
from tests.integration.test_broker_contract import Member
from tests.integration.test_joining_a_group import fall_silent
from tests.integration.test_resetting_offsets import assigned

SESSION = 300.0


def options(**others: Any) -> dict[str, Any]:
    return {"kafka_session_timeout": SESSION, "kafka_heartbeat_interval": 0.3, **others}


class Members:
    """Members of one group, and what a fetch of each of them does all the time: it keeps the member in its group."""

    def __init__(self, broker: RunningBroker, **others: Any) -> None:
        self.topic = broker.make_topic()
        self.settings = settings_for(broker.address, **options(**others))
        self.broker = KafkaBroker(self.settings)
        self.group = f"group-{self.topic}"
        self._joined: list[Member] = []

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        for member in self._joined:
            await member.consumer.close()

    async def join(self) -> Member:
        member = Member(self.broker, self.topic)
        self._joined.append(member)
        await member.start()
        await assigned(member)
        return member

    async def until_owned(self, *members: Member) -> None:
        """Until *members* have all four partitions."""
        async with asyncio.timeout(PATIENCE):
            while sum(len(member.has) for member in members) < 4:
                for member in members:
                    await member.consumer.fetch(1, 0.1)


async def die(member: Member) -> None:
    """As SIGKILL leaves it: the group hears nothing more of it, and the system has taken its lock away."""
    await fall_silent(member)
    place = kafka(member)._place
    assert place is not None
    place.release()


def kafka(member: Member) -> KafkaConsumer:
    assert isinstance(member.consumer, KafkaConsumer)
    return member.consumer


def member_id(member: Member) -> str:
    return str(kafka(member)._client._coordinator.member_id)


def test_a_replacement_gets_the_partitions_of_a_process_that_was_killed(
    apache_broker: RunningBroker, tmp_path: Path
) -> None:
    topic, dlq = apache_broker.make_topic(), apache_broker.make_topic()
    folder, ledger = project(tmp_path, topic, dlq), Ledger(tmp_path)
    variables = {"KAFKA_BOOTSTRAP_SERVERS": apache_broker.address, "KAFKA_SESSION_TIMEOUT": f"{SESSION:g}"}
    run(publish(apache_broker.address, topic, messages(40, keys=20, seconds=0.0)))
    with running_core("kafka", "worker", "Ledger", folder=folder, env=variables) as process:
        process.until(lambda: len(ledger.finished()) == 40)
        process.process.kill()
        process.process.wait()
    run(publish(apache_broker.address, topic, messages(80, keys=20, seconds=0.0)))
    with running_core("kafka", "worker", "Ledger", folder=folder, env=variables) as process:
        process.until(lambda: len(ledger.finished()) == 80)
        assert re.search(r"has died on this machine; its partitions go to others now", process.output)


def test_a_replacement_reports_its_predecessor_and_the_survivor_goes_on(apache_broker: RunningBroker) -> None:
    members = Members(apache_broker)

    async def test() -> None:
        async with members:
            dead, survivor = await members.join(), await members.join()
            await members.until_owned(dead, survivor)
            await die(dead)
            replacement = await members.join()
            await members.until_owned(survivor, replacement)
            assert survivor.lost == replacement.lost == []

    run(test())


def test_a_supervisor_reports_a_process_that_has_died(
    apache_broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "core_messaging.kafka")
    members = Members(apache_broker)

    async def test() -> None:
        async with members:
            dead, survivor = await members.join(), await members.join()
            await members.until_owned(dead, survivor)
            await die(dead)
            await report_dead_processes(members.settings, [members.group, "another-group"])
            await members.until_owned(survivor)
            assert survivor.lost == []
            assert f"member {member_id(dead)} of group {members.group} has died" in caplog.text

    run(test())


def test_the_note_of_a_member_follows_it_into_its_next_membership(apache_broker: RunningBroker) -> None:
    members = Members(apache_broker)

    async def test() -> None:
        async with members:
            member = await members.join()
            before = member_id(member)
            # The group forgets it while it lives.
            await report_dead_members(kafka(member)._client._client, members.group, [before])
            async with asyncio.timeout(PATIENCE):
                while len(member.assignments) < 2:
                    await member.consumer.fetch(1, 0.1)
            place = kafka(member)._place
            assert place is not None
            assert place.dead_member() == member_id(member) != before
            await member.consumer.close()
            assert PLACES.abandoned(Group(place.origin.cluster, members.group)) == []  # it has left

    run(test())


def test_a_member_that_is_alive_is_never_reported(
    apache_broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "core_messaging.kafka")
    members = Members(apache_broker)

    async def test() -> None:
        async with members:
            first = await members.join()
            await fall_silent(first)  # alive, but its event loop is blocked: it keeps its lock
            await report_dead_processes(members.settings, [members.group])
            place = PLACES.take(Group(kafka(first)._place.origin.cluster, members.group))  # type: ignore[union-attr] # it has one
            assert place is not None
            assert (place.number, place.dead_member()) == (2, None)
            place.release()

    run(test())
    assert "has died" not in caplog.text


def test_a_static_member_that_is_stopped_leaves_and_the_others_get_its_partitions(
    apache_broker: RunningBroker,
) -> None:
    members = Members(apache_broker, kafka_group_instance_id="auto")

    async def test() -> None:
        async with members:
            first, second = await members.join(), await members.join()
            await members.until_owned(first, second)
            await first.consumer.close()
            await members.until_owned(second)

    run(test())


def test_auto_is_the_host_and_the_place_and_both_members_go_on(apache_broker: RunningBroker) -> None:
    members = Members(apache_broker, kafka_group_instance_id="auto")

    async def test() -> None:
        async with members:
            first, second = await members.join(), await members.join()
            await members.until_owned(first, second)
            identities = [kafka(member)._client._coordinator._group_instance_id for member in (first, second)]
            assert identities == [f"{socket.gethostname()}-{number}-{members.group}" for number in (1, 2)]
            # The one that takes the place of a dead one is the same member to the group, and needs no report.
            await die(first)
            third = await members.join()
            await members.until_owned(second, third)
            assert kafka(third)._client._coordinator._group_instance_id == identities[0]
            assert first.lost == second.lost == third.lost == []

    run(test())
