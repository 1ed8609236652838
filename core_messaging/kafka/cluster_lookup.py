"""Asks a cluster about itself and about consumer groups. It only reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from core_messaging.kafka.client_lifecycle import admin_of
from core_messaging.kafka.consumer_protocol import decode_subscription
from core_messaging.kafka.errors import as_broker_error
from core_messaging.kafka.group_offsets import once_coordinator_is_ready
from core_messaging.kafka.permissions import operations_on_group, operations_on_topics
from core_messaging.rules.diagnosis import GroupFacts, MemberFacts
from core_messaging.rules.permissions import Operation
from core_messaging.settings import Settings

_LIMITS = ("group.min.session.timeout.ms", "group.max.session.timeout.ms")


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Facts of a cluster. ``session_limits``: shortest and longest session time-out in seconds; None if the broker does not tell."""

    cluster_id: str
    brokers: int
    session_limits: tuple[float, float] | None


class ClusterLookup:
    """Asks one cluster. Opened by ``cluster_lookup(settings)``."""

    def __init__(self, settings: Settings, admin: Any) -> None:
        self._settings = settings
        self._admin = admin

    async def cluster(self) -> ClusterFacts:
        """Return the facts of the cluster. Raises BrokerError."""
        try:
            found = await self._admin.describe_cluster()
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        brokers = found["brokers"]
        return ClusterFacts(
            found.get("cluster_id") or "", len(brokers), await self._limits(brokers[0]["node_id"])
        )

    async def _limits(self, node: int) -> tuple[float, float] | None:
        """Return the limits; None if this user may not read the broker's configs, or if the broker has no such request."""
        resource = ConfigResource(ConfigResourceType.BROKER, str(node), dict.fromkeys(_LIMITS))
        try:
            (answer,) = await self._admin.describe_configs([resource])
        except kafka_errors.KafkaError:
            return None
        values = {entry[0]: entry[1] for found in answer.resources for entry in found[4]}
        if not all(values.get(name) for name in _LIMITS):
            return None
        least, longest = (float(values[name]) / 1000 for name in _LIMITS)
        return least, longest

    async def group(self, group_id: str) -> GroupFacts | None:
        """Return the group; None if the broker lacks this request, or the user lacks the right to describe groups."""
        try:
            found = await once_coordinator_is_ready(lambda: self._described(group_id))
        except kafka_errors.KafkaError:
            return None
        members = tuple(map(_member, found["members"]))
        return GroupFacts(found["group"], found["state"], found["protocol"], members)

    async def may_on_topics(self, topics: Sequence[str]) -> Mapping[str, Collection[Operation]]:
        """What this client may do with each of *topics*; those of which nothing is told are left out."""
        return await operations_on_topics(self._admin, topics) if topics else {}

    async def may_on_group(self, group_id: str) -> Collection[Operation] | None:
        """What this client may do with the group; None where that is not told."""
        return await operations_on_group(self._admin, group_id)

    async def _described(self, group_id: str) -> Mapping[str, Any]:
        (answer,) = await self._admin.describe_consumer_groups([group_id])
        (found,) = answer.to_object()["groups"]
        if found["error_code"]:
            raise kafka_errors.for_code(found["error_code"])(group_id)
        return dict(found)


def _member(found: Mapping[str, Any]) -> MemberFacts:
    topics: frozenset[str] | None = None
    if found["member_metadata"]:
        with suppress(ValueError):
            topics = decode_subscription(found["member_metadata"]).topics
    return MemberFacts(found["client_id"], found["client_host"].lstrip("/"), topics)


@asynccontextmanager
async def cluster_lookup(settings: Settings) -> AsyncIterator[ClusterLookup]:
    """Provide a lookup that is connected inside the block. Raises BrokerUnreachable, BrokerRefused."""
    async with admin_of(settings) as admin:
        yield ClusterLookup(settings, admin)
