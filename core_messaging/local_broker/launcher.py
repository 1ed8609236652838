"""A broker that stands until somebody stops it: what ``core kafka up`` runs, without its words."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core_messaging.errors import BrokerEnded, ConfigurationError
from core_messaging.kafka.client import KafkaBroker
from core_messaging.local_broker.apache import ApacheCluster, ApacheNode, ApacheOptions
from core_messaging.local_broker.data_folder import claim, wipe
from core_messaging.local_broker.embedded import PARTITIONS, EmbeddedBroker
from core_messaging.local_broker.port_forward import Doorway
from core_messaging.settings import Settings


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to have from the start; ``partitions=None`` leaves the number to the engine."""

    name: str
    partitions: int | None = None


_LOOK = 0.5  # seconds between two looks for a signal


class Standing(Protocol):
    """A broker that runs."""

    @property
    def address(self) -> str: ...
    def wait(self) -> None:
        """Until it ends by itself (BrokerEnded), which may be never."""
        ...


@dataclass(frozen=True)
class _Embedded:
    address: str

    def wait(self) -> None:
        never = threading.Event()
        while not never.wait(_LOOK):
            pass  # the kernel may hand a signal to the broker's thread, and then only the clock wakes this one


@dataclass(frozen=True)
class _Apache:
    node: ApacheNode

    @property
    def address(self) -> str:
        return self.node.address

    def wait(self) -> None:
        raise BrokerEnded("Apache Kafka", self.node.wait_until_ended(), str(self.node.folder))


@contextmanager
def embedded(port: int, topics: Sequence[NewTopic] = ()) -> Iterator[Standing]:
    """The embedded broker at *port*; 0 takes any free one. Raises LocalBrokerError, ConfigurationError."""
    _require_default_partitions(topics)
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker())
        # It cannot be told a port, so a chosen one is a door to its own.
        address = stack.enter_context(Doorway(port, broker.address)).address if port else broker.address
        for topic in topics:
            broker.create_topic(topic.name)
        yield _Embedded(address)


@contextmanager
def apache(folder: Path, port: int, topics: Sequence[NewTopic] = ()) -> Iterator[Standing]:
    """Apache Kafka at *port* (0: any free one) with its data in *folder*.

    Raises LocalBrokerError, or BrokerError where a topic cannot be made.
    """
    with claim(folder), ApacheCluster(ApacheOptions(folder=folder, port=port or None)) as cluster:
        asyncio.run(_create(cluster.address, topics))
        yield _Apache(cluster.nodes[0])


def forget(folder: Path) -> None:
    """Delete what earlier runs have left in *folder*. Raises ForeignFolder, FolderInUse."""
    with claim(folder):
        wipe(folder)


async def _create(address: str, topics: Sequence[NewTopic]) -> None:
    # The environment may describe another broker; ours has no security to speak of.
    settings = Settings(
        kafka_bootstrap_servers=address,
        kafka_security_protocol="PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_sasl_username=None,
        kafka_sasl_password=None,
        kafka_ssl_cafile=None,
        kafka_ssl_certfile=None,
        kafka_ssl_keyfile=None,
        kafka_ssl_password=None,
        kafka_ssl_check_hostname=True,
    )
    making = KafkaBroker(settings).topics()
    for topic in topics:
        await making.create([topic.name], topic.partitions or PARTITIONS, 1)


def _require_default_partitions(topics: Sequence[NewTopic]) -> None:
    for topic in topics:
        if topic.partitions not in (None, PARTITIONS):
            raise ConfigurationError(
                f"the embedded broker gives every topic {PARTITIONS} partitions, not {topic.partitions}; "
                f"write --topic {topic.name}, or use --engine apache"
            )
