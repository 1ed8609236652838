"""Asks a cluster what this client may do with topics and groups. It only reads, and needs no right to list ACLs.

The client has no request for topics that asks for that, so the request is written here (Kafka 2.3 and later answer it).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from core_messaging.rules.permissions import Operation, operations_in

_NOT_ASKED = -(2**31)  # what a broker answers that does not tell operations


class MetadataResponse_v8(Response):  # type: ignore[misc]  # noqa: N801 - the client's way to name versions
    """What the cluster says about topics, with what this client may do."""

    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class MetadataRequest_v8(RequestStruct):  # type: ignore[misc]  # noqa: N801 - as above
    """Asks for topics."""

    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = MetadataResponse_v8
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _TopicOperations(Request[MetadataRequest_v8]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[MetadataRequest_v8]) -> MetadataRequest_v8:
        return request_struct_class(self._topics, False, False, True)  # noqa: FBT003 - by position, as the client wants it


async def operations_on_topics(admin: Any, topics: Sequence[str]) -> Mapping[str, Collection[Operation]]:
    """What this client may do with each of *topics*; those that are missing, or of which nothing is told, are left out.

    *admin*: a started admin client of aiokafka.
    """
    try:
        answer = (await admin._send_request(_TopicOperations(topics))).to_object()  # noqa: SLF001 - it is nowhere else
    except (kafka_errors.KafkaError, NotImplementedError):  # an old broker, or the embedded one
        return {}
    denied = kafka_errors.TopicAuthorizationFailedError.errno
    found: dict[str, Collection[Operation]] = {}
    for item in answer["topics"]:
        if item["error_code"] == denied:
            found[item["topic"]] = frozenset()
        elif not item["error_code"] and item["authorized_operations"] != _NOT_ASKED:
            found[item["topic"]] = operations_in(item["authorized_operations"])
    return found


async def operations_on_group(admin: Any, group_id: str) -> Collection[Operation] | None:
    """What this client may do with the group; None where that is not told. *admin*: as above."""
    try:
        (answer,) = await admin.describe_consumer_groups([group_id], include_authorized_operations=True)
        (found,) = answer.to_object()["groups"]
    except kafka_errors.GroupAuthorizationFailedError:  # its coordinator is not told either
        return frozenset()
    except (kafka_errors.KafkaError, NotImplementedError):
        return None
    if found["error_code"] == kafka_errors.GroupAuthorizationFailedError.errno:
        return frozenset()
    told = found.get("authorized_operations", _NOT_ASKED)
    return None if found["error_code"] or told == _NOT_ASKED else operations_in(told)
