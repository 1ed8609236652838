"""Three nodes of Apache Kafka behind proxies, and operations on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from confluent_kafka import ElectionType
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from chaos.proxy import Proxy
from core_messaging.kafka.group_offsets import reading
from core_messaging.local_broker.apache import ApacheCluster, ApacheNode, ApacheOptions
from core_messaging.local_broker.ports import HOST
from core_messaging.settings import Settings

NODES = 3
PROXIED = "PROXIED"
PARTITIONS = 6

# The defaults are minutes. Here a crashed node is replaced within seconds, and may come back within seconds.
PROPERTIES = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.min.session.timeout.ms": "1000",
    "replica.lag.time.max.ms": "5000",
}


class Cluster:
    """``address`` is direct, for the checks. ``proxied`` is the address for workers."""

    def __init__(self, apache: ApacheCluster, proxies: list[Proxy]) -> None:
        self._apache = apache
        self.proxies = proxies
        self.proxied = ",".join(f"{HOST}:{proxy.port}" for proxy in proxies)
        self._admin: Any = AdminClient({"bootstrap.servers": apache.address, "log_level": 0})

    @property
    def address(self) -> str:
        return self._apache.address

    @property
    def nodes(self) -> list[ApacheNode]:
        return list(self._apache.nodes)

    def make_topics(self, *names: str) -> None:
        """Create topics with three replicas. Two of them must have a record before it is acknowledged."""
        new = [NewTopic(name, PARTITIONS, NODES) for name in names]
        for done in self._admin.create_topics(new).values():
            done.result(30)

    def require_replicas(self, topic: str, count: int) -> None:
        """Let *count* replicas acknowledge records of *topic* from now on. With 4 of 3 the topic refuses records."""
        entry = ConfigEntry("min.insync.replicas", str(count), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for done in self._admin.incremental_alter_configs([resource]).values():
            done.result(30)

    def coordinator(self, group: str) -> ApacheNode:
        """Return the node that coordinates *group*."""
        number = self._admin.describe_consumer_groups([group])[group].result(30).coordinator.id
        return next(node for node in self.nodes if node.number == number)

    def elect_preferred_leaders(self) -> None:
        """Elect the preferred leaders again. All nodes have to be up."""
        self._admin.elect_leaders(ElectionType.PREFERRED).result(30)

    async def all_replicas_back(self, seconds: float = 60.0) -> None:
        """Wait until all replicas are in sync. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(self._whole):
                await asyncio.sleep(0.2)

    def _whole(self) -> bool:
        topics = self._admin.list_topics(timeout=10).topics.values()
        partitions = [partition for topic in topics for partition in topic.partitions.values()]
        return all(len(p.isrs) == len(p.replicas) and p.leader >= 0 for p in partitions)

    async def publish(self, topic: str, records: list[tuple[bytes, bytes]]) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=self.address, linger_ms=5, enable_idempotence=True
        ) as producer:
            for start in range(0, len(records), 2_000):
                sent = [
                    await producer.send(topic, value, key) for key, value in records[start : start + 2_000]
                ]
                await asyncio.gather(*sent)

    async def worked_off(self, topic: str, check: Callable[[], None], seconds: float = 150.0) -> None:
        """Wait until the group with the name *topic* has committed all of the topic. *check* may raise to end the wait."""
        async with asyncio.timeout(seconds):
            while await self.lag(topic, topic):
                check()
                await asyncio.sleep(0.2)

    async def lag(self, group: str, topic: str) -> int:
        """Count the messages that the group has not committed."""
        async with reading(Settings(kafka_bootstrap_servers=self.address)) as kafka:
            standings = await kafka.partition_offsets(group, [topic])
        return sum(s.end - (s.committed.offset if s.committed else s.begin) for s in standings)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Cluster]:
    """Run three nodes with their data in *folder*, each behind a proxy, until the block ends."""
    proxies = [Proxy() for _ in range(NODES)]
    for proxy in proxies:
        await proxy.start()
    told = {(number, PROXIED): f"{HOST}:{proxy.port}" for number, proxy in enumerate(proxies, start=1)}
    options = ApacheOptions(
        folder=folder, nodes=NODES, listeners={PROXIED: "PLAINTEXT"}, advertised=told, properties=PROPERTIES
    )
    apache = ApacheCluster(options)
    await asyncio.to_thread(apache.__enter__)
    try:
        for proxy, node in zip(proxies, apache.nodes, strict=True):
            proxy.lead_to(node.ports[PROXIED])
        yield Cluster(apache, proxies)
    finally:
        for proxy in proxies:
            await proxy.close()
        apache.kill()
