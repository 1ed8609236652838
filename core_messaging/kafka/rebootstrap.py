"""Asks the bootstrap servers again when no broker that the client knows answers (KIP-899), and tells another cluster by its id.

The client (aiokafka 0.14) uses the bootstrap servers once, at its start. Later it asks only the brokers that the last answer
named. Where all of them have gone and others are there in their place, it would never find these.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

from aiokafka import errors as kafka_errors
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import BrokerMetadata

from core_messaging.errors import BrokerError
from core_messaging.kafka.cluster_identity import Cluster, cluster_in

Update = Callable[[Any, Any, Any], Awaitable[bool]]

_DEFAULT_GROUP = 0  # the client's connections for all that is not about a group

logger = logging.getLogger("core_messaging.kafka")

# The client's own record of its cluster -> the cluster that its last metadata were about.
_noted: WeakKeyDictionary[Any, Cluster] = WeakKeyDictionary()


def with_bootstrap_servers(update: Update) -> Update:
    """Let *update*, the client's request for metadata, go on with the bootstrap servers where it has no answer."""

    @functools.wraps(update)
    async def update_or_bootstrap(self: Any, cluster: Any, topics: Any) -> bool:
        return await update(self, cluster, topics) or await _rebootstrap(self, cluster, topics)

    return update_or_bootstrap


async def _rebootstrap(client: Any, cluster: Any, topics: Any) -> bool:
    """Update *cluster* from the first bootstrap server that answers. Return whether one did.

    A server that is among the known brokers has just been asked.
    """
    known = {(broker.host, broker.port) for broker in client.cluster.brokers()}
    for number, (host, port, _) in enumerate(client.hosts):
        server = BrokerMetadata(f"bootstrap-{number}", host, port, None)
        if (host, port) not in known and await _updated_from(client, server, cluster, topics):
            logger.info(
                "no broker that was known answers; the bootstrap server %s:%s has named the brokers that are there now",
                host,
                port,
                extra={"action": "rebootstrapped"},
            )
            return True
    return False


async def _updated_from(client: Any, server: BrokerMetadata, cluster: Any, topics: Any) -> bool:
    # The client connects to what its cluster knows, so the server is made known to it.
    client.cluster._bootstrap_brokers[server.nodeId] = server  # noqa: SLF001 - see client_insides
    connection = await client._get_conn(server.nodeId)  # noqa: SLF001 - see client_insides
    if connection is None:
        return False
    try:
        metadata = await connection.send(MetadataRequest(list(topics) if topics else None))
    except (kafka_errors.KafkaError, TimeoutError) as error:
        logger.debug("the bootstrap server %s:%s: %r", server.host, server.port, error)
        return False
    finally:
        connection.close()
        client._conns.pop((server.nodeId, _DEFAULT_GROUP), None)  # noqa: SLF001 - see client_insides
    if metadata.brokers:
        cluster.update_metadata(metadata)
    return bool(metadata.brokers)


def with_cluster_noted(update: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Let *update*, by which the client takes in metadata, note which cluster it is about: the client drops the id."""

    @functools.wraps(update)
    def note_and_update(self: Any, metadata: Any) -> None:
        if metadata.brokers:
            _noted[self] = cluster_in(metadata)
        update(self, metadata)

    return note_and_update


def noted_cluster(known: Any) -> Cluster:
    """Return the cluster that the last metadata in *known*, the client's record of its cluster, were about."""
    return _noted.get(known, Cluster("", ""))


def cluster_replaced(former: Cluster, found: Cluster) -> BrokerError:
    """Return the error of a member that meets *found* in the place of its cluster."""
    return BrokerError(
        f"another cluster answers in the place of this one ({found.name} at {found.address}; it was {former.name} at "
        f"{former.address}). Offsets of the former one mean nothing there, so the worker joins its group there anew"
    )
