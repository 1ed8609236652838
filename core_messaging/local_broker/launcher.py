"""Starts the broker of ``core kafka up``, embedded or Apache, and waits until it ends. Prints nothing."""

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
from core_messaging.local_broker.port_forward import PortForward
from core_messaging.settings import Settings


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to create at the start; ``partitions=None``: the broker's default number."""

    name: str
    partitions: int | None = None


_SIGNAL_CHECK = 0.5  # seconds between two checks for a signal


class RunningBroker(Protocol):
    """A broker that runs."""

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        ...

    def wait(self) -> None:
        """Wait until the broker ends by itself, which may be never. Raises BrokerEnded then."""
        ...


@dataclass(frozen=True)
class _Embedded:
    address: str

    def wait(self) -> None:
        never = threading.Event()
        while not never.wait(_SIGNAL_CHECK):
            pass  # the kernel may deliver a signal to the broker's thread; then only the time-out wakes this thread


@dataclass(frozen=True)
class _Apache:
    node: ApacheNode

    @property
    def address(self) -> str:
        return self.node.address

    def wait(self) -> None:
        raise BrokerEnded("Apache Kafka", self.node.wait_until_ended(), str(self.node.folder))


@contextmanager
def embedded(port: int, topics: Sequence[NewTopic] = ()) -> Iterator[RunningBroker]:
    """Run the embedded broker at *port* (0: any free port) inside the block.

    Raises LocalBrokerError, ConfigurationError.
    """
    _require_default_partitions(topics)
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker())
        # The embedded broker chooses its own port, so a chosen port is forwarded to it.
        address = stack.enter_context(PortForward(port, broker.address)).address if port else broker.address
        for topic in topics:
            broker.create_topic(topic.name)
        yield _Embedded(address)


@contextmanager
def apache(folder: Path, port: int, topics: Sequence[NewTopic] = ()) -> Iterator[RunningBroker]:
    """Run Apache Kafka at *port* (0: any free port) inside the block, with its data in *folder*.

    Raises LocalBrokerError, and BrokerError where a topic cannot be created.
    """
    with claim(folder), ApacheCluster(ApacheOptions(folder=folder, port=port or None)) as cluster:
        asyncio.run(_create(cluster.address, topics))
        yield _Apache(cluster.nodes[0])


def delete_data(folder: Path) -> None:
    """Delete the data of earlier runs in *folder*. Raises ForeignFolder, FolderInUse, FolderUnusable."""
    with claim(folder):
        wipe(folder)


async def _create(address: str, topics: Sequence[NewTopic]) -> None:
    # The environment may describe another broker. This one has neither TLS nor passwords.
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
    tool = KafkaBroker(settings).topics()
    for topic in topics:
        await tool.create([topic.name], topic.partitions or PARTITIONS, 1)


def _require_default_partitions(topics: Sequence[NewTopic]) -> None:
    for topic in topics:
        if topic.partitions not in (None, PARTITIONS):
            raise ConfigurationError(
                f"the embedded broker gives every topic {PARTITIONS} partitions, not {topic.partitions}; "
                f"write --topic {topic.name}, or use --engine apache"
            )
