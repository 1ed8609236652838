"""Who may be a member of a group, and how a member leaves: told by name and remedy, and never taken for a death."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from core_messaging.errors import GroupRefused
from core_messaging.kafka.client import KafkaBroker
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.worker import Worker
from tests.integration.brokers import RunningBroker
from tests.integration.harness import PATIENCE, publish, run, settings_for, until
from tests.integration.test_broker_contract import Member
from tests.integration.test_resetting_offsets import assigned


def slow_worker(topic: str, seen: list[int]) -> type[Worker]:
    async def process(self: Worker, message: int) -> None:
        await asyncio.sleep(0.2)
        seen.append(message)

    options = {"input_topic": topic, "group_id": topic, "process": process}
    return type("Slow", (Worker,), options)


def test_two_replicas_with_one_identity_are_told_and_both_go_on(
    apache_broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    address, topic, seen = apache_broker.address, apache_broker.make_topic(), list[int]()
    made = slow_worker(topic, seen)
    options = settings_for(address, kafka_group_instance_id="pod-1", kafka_heartbeat_interval=0.3)

    async def test() -> None:
        first, second = (
            asyncio.create_task(run_workers([made], RunOptions(settings=options, handle_signals=False)))
            for _ in range(2)
        )
        await until(lambda: "kafka_group_instance_id = 'pod-1'" in caplog.text)
        await publish(address, topic, [(b"%d" % number, b"%d" % number) for number in range(20)])
        await until(lambda: len(set(seen)) == 20)
        # Settled: one of them has said so, once, and steals nothing back.
        assert caplog.text.count("kafka_group_instance_id = 'pod-1'") == 1
        for task in (first, second):
            task.cancel()
        await asyncio.wait([first, second])

    run(test())
    assert "Give each replica a kafka_group_instance_id of its own" in caplog.text
    assert max(Counter(seen).values()) <= 2
    assert "KilledTheProcess" not in caplog.text


@pytest.mark.parametrize("empty", ["", "  "])
def test_a_variable_that_is_set_to_nothing_is_no_identity(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("KAFKA_GROUP_INSTANCE_ID", "KAFKA_SSL_CAFILE", "KAFKA_COMPRESSION", "KAFKA_SASL_USERNAME")
    for name in names:
        monkeypatch.setenv(name, empty)
    settings = settings_for("127.0.0.1:1")
    assert [getattr(settings, name.lower()) for name in names] == [None] * len(names)


# It tried again for ever, and a person who had upgraded one process of many saw a process that runs.
def test_a_process_whose_group_has_the_old_protocol_ends_and_says_how_to_upgrade(
    apache_broker: RunningBroker,
) -> None:
    address, topic = apache_broker.address, apache_broker.make_topic()
    made = slow_worker(topic, [])

    async def test() -> None:
        old = AIOKafkaConsumer(topic, bootstrap_servers=address, group_id=topic)
        await old.start()
        try:
            await old.getmany(timeout_ms=100)
            options = RunOptions(settings=settings_for(address), handle_signals=False)
            with pytest.raises(GroupRefused, match="stop all members of the group and then start all"):
                async with asyncio.timeout(PATIENCE):
                    await run_workers([made], options)
        finally:
            await old.stop()

    run(test())


async def members_of(address: str, group: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
        return len(answer.groups[0][-2] if isinstance(answer.groups[0][-1], int) else answer.groups[0][-1])
    finally:
        await admin.close()


def test_a_member_that_is_stopped_while_it_joins_leaves_at_once_and_is_no_ghost(
    apache_broker: RunningBroker,
) -> None:
    address, topic = apache_broker.address, apache_broker.make_topic()
    broker = KafkaBroker(settings_for(address, kafka_session_timeout=60.0, kafka_heartbeat_interval=1.0))

    async def test() -> float:
        first, second = Member(broker, topic), Member(broker, topic)
        await first.start()
        await assigned(first)
        await fall_silent(first)  # the group waits for it
        await second.start()
        async with asyncio.timeout(PATIENCE):
            while await members_of(address, topic_group(topic)) < 2:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.1)
        began = time.monotonic()
        await second.consumer.close()
        took = time.monotonic() - began
        assert await members_of(address, topic_group(topic)) == 1
        await first.consumer.close()
        return took

    assert run(test()) < 9  # below the session, and the ten seconds that a client has to stop


async def fall_silent(member: Member) -> None:
    """Let *member* stay in its group and never answer it again, like a process that was killed."""
    coordinator: Any = member.consumer._client._coordinator  # type: ignore[attr-defined]
    for task in (coordinator._coordination_task, coordinator._heartbeat_task):
        task.cancel()
        await asyncio.wait([task])


def topic_group(topic: str) -> str:
    return f"group-{topic}"
