"""Looking at topics. The client's own look makes what it does not find, where the cluster makes topics by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.protocol.metadata import MetadataRequest

from core_messaging.kafka.embedded_group import Cluster


@dataclass(frozen=True, slots=True)
class Look:
    """``partitions``: name -> partition numbers, in order, of the topics that exist. ``others``: the names that were asked for
    and do not."""

    partitions: Mapping[str, Sequence[int]]
    others: Sequence[str]
    cluster: Cluster


async def look_at(admin: Any, topics: Sequence[str]) -> Look:
    """*topics*, by *admin*, an admin client of aiokafka that is started. Raises KafkaError."""
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
    answer = (await admin._send_request(request)).to_object()  # noqa: SLF001 - its describe_topics makes topics
    found = {
        item["topic"]: sorted(each["partition"] for each in item["partitions"])
        for item in answer["topics"]
        if not item["error_code"] or item["partitions"]
    }
    cluster = Cluster(answer.get("cluster_id") or "", "")
    return Look(found, [topic for topic in topics if topic not in found], cluster)
