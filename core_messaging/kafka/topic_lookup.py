"""Looks topics up and creates none. The client's own lookup creates missing topics where the cluster allows that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.protocol.metadata import MetadataRequest

from core_messaging.kafka.cluster_identity import Cluster


@dataclass(frozen=True, slots=True)
class TopicLookup:
    """The answer of a lookup.

    ``partitions``: topic name -> its partition numbers in order, for topics that exist. ``missing``: the names of the
    topics that do not exist, or that this client may not see. ``cluster``: the cluster that answered. ``replicas``: topic
    name -> the least number of replicas of its partitions. ``forbidden``: those of the missing that this client may not see.
    """

    partitions: Mapping[str, Sequence[int]]
    missing: Sequence[str]
    cluster: Cluster
    replicas: Mapping[str, int] = field(default_factory=dict)
    forbidden: Sequence[str] = ()


async def look_up_topics(admin: Any, topics: Sequence[str]) -> TopicLookup:
    """Look *topics* up with *admin*, a started admin client of aiokafka. Raises KafkaError."""
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
    answer = (await admin._send_request(request)).to_object()  # noqa: SLF001 - its describe_topics creates topics
    found = {
        item["topic"]: sorted(each["partition"] for each in item["partitions"])
        for item in answer["topics"]
        if not item["error_code"] or item["partitions"]
    }
    replicas = {
        item["topic"]: min((len(each["replicas"]) for each in item["partitions"]), default=0)
        for item in answer["topics"]
    }
    denied = kafka_errors.TopicAuthorizationFailedError.errno
    forbidden = [item["topic"] for item in answer["topics"] if item["error_code"] == denied]
    cluster = Cluster(answer.get("cluster_id") or "", "")
    missing = [topic for topic in topics if topic not in found]
    return TopicLookup(found, missing, cluster, replicas, forbidden)
