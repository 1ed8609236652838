"""Which Kafka cluster a client is connected to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiokafka.protocol.metadata import MetadataRequest

_MOCK = "mockCluster"  # librdkafka's mock cluster, which is the embedded broker


@dataclass(frozen=True, slots=True)
class Cluster:
    """``name`` is the cluster's id; ``address`` is ``host:port`` of its first broker, as the cluster advertises it."""

    name: str
    address: str

    @property
    def is_embedded(self) -> bool:
        """Whether this is the embedded broker."""
        return self.name.startswith(_MOCK)

    def is_another_than(self, former: Cluster) -> bool:
        """Whether the two share no data. An embedded broker that was started again may have its former id, and has another port."""
        if not (self.name and former.name):
            return False  # a very old broker tells no id
        return self.name != former.name or (self.is_embedded and self.address != former.address)


async def cluster_of(client: Any) -> Cluster:
    """Ask which cluster *client*, a started consumer of aiokafka, is connected to. Raises KafkaError."""
    network = client._client  # noqa: SLF001 - the client does not show the answer of its own request
    return cluster_in(await network.send(network.get_random_node(), MetadataRequest([])))


def cluster_in(metadata: Any) -> Cluster:
    """Return the cluster that *metadata*, an answer with at least one broker, is about."""
    first = min(metadata.brokers)
    return Cluster(getattr(metadata, "cluster_id", None) or "", f"{first[1]}:{first[2]}")
