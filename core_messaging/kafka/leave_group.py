"""The request by which a member leaves its group, and says so also for a member that is dead.

The client has it up to version 1. Version 3 (KIP-345) names the static identity too.
https://kafka.apache.org/protocol.html#The_Messages_LeaveGroup
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, TypeAlias

from aiokafka import errors as kafka_errors
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import LeaveGroupRequest_v1
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from core_messaging.kafka.group_offsets import once_coordinator_is_ready
from core_messaging.kafka.membership import FencedInstanceIdError

_TEXT = String("utf-8")
_WITH_IDENTITY = 3  # the first version that names static identities, and more than one member
_TIMEOUT = 5.0  # seconds to tell the coordinator who is dead; after it, the session time-out decides
_GONE = (kafka_errors.UnknownMemberIdError, FencedInstanceIdError)  # somebody was faster

logger = logging.getLogger("core_messaging.kafka")


class LeaveGroupResponse_v3(Response):  # type: ignore[misc] # noqa: N801 - as the client names them, which is untyped
    """One error of the group, and one of each member."""

    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT), ("error_code", Int16))),
    )


class LeaveGroupRequest_v3(RequestStruct):  # type: ignore[misc] # noqa: N801 - as above
    """Members by their id and static identity."""

    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = LeaveGroupResponse_v3
    SCHEMA = Schema(("group", _TEXT), ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT))))


_Struct: TypeAlias = LeaveGroupRequest_v1 | LeaveGroupRequest_v3


class LeaveGroup(Request[_Struct]):  # type: ignore[misc] # as above
    """One member leaves *group*.

    *member_id* has to be known also of a static member (*instance_id*). Without it, whoever has the identity by now would be
    thrown out.
    """

    API_KEY = 13

    def __init__(self, group: str, member_id: str, instance_id: str | None = None) -> None:
        self._group = group
        self._member_id = member_id
        self._instance_id = instance_id

    def prepare(self, versions: dict[int, tuple[int, int]]) -> _Struct:
        """The request in the version that says enough.

        Without a static identity that is version 1: the embedded broker takes version 3, and its answer cannot be parsed.
        """
        least, most = versions.get(self.API_KEY, (_WITH_IDENTITY, 0))
        if self._instance_id is None and least < _WITH_IDENTITY:
            versions = {**versions, self.API_KEY: (least, min(most, _WITH_IDENTITY - 1))}
        return super().prepare(versions)

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        """The request in the version that the broker takes."""
        if request_struct_class.API_VERSION < _WITH_IDENTITY:
            return request_struct_class(self._group, self._member_id)
        return request_struct_class(self._group, [(self._member_id, self._instance_id)])


def check_left(response: Any) -> None:
    """Raise the KafkaError that *response* to a LeaveGroup holds."""
    codes = [response.error_code, *(member[-1] for member in getattr(response, "members", ()))]
    for code in filter(None, codes):
        raise kafka_errors.for_code(code)(f"LeaveGroup: {response}")


async def report_dead_members(client: Any, group: str, member_ids: Iterable[str]) -> bool:
    """Tell the coordinator of *group* that the members *member_ids* have left, because they are dead.

    *client*: a connected AIOKafkaClient. False: the coordinator did not answer, so the session time-out decides.
    """
    try:
        async with asyncio.timeout(_TIMEOUT):
            for member_id in member_ids:
                await once_coordinator_is_ready(lambda dead=member_id: _report(client, group, dead))  # type: ignore[misc] # binds the loop's value
    except (kafka_errors.KafkaError, TimeoutError, NotImplementedError) as error:
        logger.debug("group %s was not told who is dead, its session time-out decides: %r", group, error)
        return False
    return True


async def _report(client: Any, group: str, member_id: str) -> None:
    node = await client.coordinator_lookup(CoordinationType.GROUP, group)
    if not await client.ready(node, group=ConnectionGroup.COORDINATION):
        raise kafka_errors.GroupCoordinatorNotAvailableError
    response = await client.send(node, LeaveGroup(group, member_id), group=ConnectionGroup.COORDINATION)
    try:
        check_left(response)
    except _GONE:
        return
    logger.info(
        "member %s of group %s has died on this machine; its partitions go to others now, and do not wait for "
        "kafka_session_timeout",
        member_id,
        group,
        extra={"action": "dead member reported"},
    )
