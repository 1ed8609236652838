"""A broker that does not coordinate a group (any more) says so, and that is not "nothing was committed"."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.structs import OffsetAndMetadata

from core_messaging.broker import Subscription
from core_messaging.kafka.client import KafkaBroker
from core_messaging.kafka.group_offsets import reading
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from core_messaging.records import Committed, TopicPartition
from tests.integration.brokers import require_apache
from tests.integration.harness import PATIENCE, run, settings_for

GROUP, SOURCE = "moved", TopicPartition("orders", 0)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three nodes, and a group with a commit, whose coordinator is one of them."""
    require_apache()
    folder: Path = tmp_path_factory.mktemp("moved")
    with ApacheCluster(ApacheOptions(folder=folder, nodes=3, heap="256m", stop_timeout=5)) as cluster:
        run(_commit(cluster.address))
        yield cluster.address
        cluster.kill()


async def _commit(address: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(SOURCE.topic, 1, 1)])
    await admin.close()
    consumer = AIOKafkaConsumer(group_id=GROUP, bootstrap_servers=address, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([ClientPartition(*SOURCE)])
    await consumer.commit({ClientPartition(*SOURCE): OffsetAndMetadata(3, "note")})
    await consumer.stop()


def test_a_member_whose_coordinator_moves_while_it_joins_hears_of_its_commits(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It heard that there were none, and began at the first message, or after the last.
    ask, strangers = GroupCoordinator._do_fetch_commit_offsets, list[int]()

    async def ask_a_stranger(self: Any, partitions: Any) -> Any:
        if not strangers:
            nodes = {node.nodeId for node in self._client.cluster.brokers()}
            strangers.append(min(nodes - {self.coordinator_id}))
            self.coordinator_id = strangers[0]
        return await ask(self, partitions)

    monkeypatch.setattr(GroupCoordinator, "_do_fetch_commit_offsets", ask_a_stranger)

    async def test() -> Mapping[TopicPartition, Committed | None]:
        heard = list[Mapping[TopicPartition, Committed | None]]()
        came = asyncio.Event()
        consumer = KafkaBroker(settings_for(address)).consumer(Subscription(GROUP, (SOURCE.topic,), "c"))

        async def revoked(_sources: object) -> None: ...

        def assigned(commits: Mapping[TopicPartition, Committed | None]) -> None:
            heard.append(commits)
            came.set()

        await consumer.start(assigned, revoked, revoked)
        fetching = asyncio.create_task(consumer.fetch(1, 30))
        async with asyncio.timeout(PATIENCE):
            await came.wait()
        fetching.cancel()
        await consumer.close()
        return heard[0]

    assert run(test()) == {SOURCE: Committed(3, "note")}
    assert strangers


def test_so_does_whoever_asks_how_far_a_group_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # `core kafka offsets` showed a group that has committed nothing.
    find, strangers = AIOKafkaAdminClient.find_coordinator, list[int]()

    async def find_a_stranger(self: Any, group_id: str) -> Any:
        found = await find(self, group_id)
        if strangers:
            return found
        nodes = {node.nodeId for node in self._client.cluster.brokers()}
        strangers.append(min(nodes - {found}))
        return strangers[0]

    monkeypatch.setattr(AIOKafkaAdminClient, "find_coordinator", find_a_stranger)

    async def test() -> Committed | None:
        async with reading(settings_for(address)) as offsets:
            (found,) = await offsets.partition_offsets(GROUP, [SOURCE.topic])
            return found.committed

    assert run(test()) == Committed(3, "note")
    assert strangers
