"""Patches of how aiokafka (0.14) joins and leaves a group: it ignores one error and waits in one place without a limit.

Static identity: a second process with the same ``group_instance_id`` takes the first one's place in the group. The client
of the first process takes the broker's answer for an expired session, joins again with the same identity, and takes the
place back. Then each of the two believes that it has every partition. With these patches it joins again under its former
member id, and the broker answers that the identity belongs to another member (FENCED_INSTANCE_ID).

Closing while joining: the client waits for the group, and the group may wait until the session of a dead member expires.
The client also stays a member, because it leaves a group only after it has joined it. With these patches it stops joining
and leaves at once.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.client import ConnectionGroup
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.protocol.group import LeaveGroupRequest

from core_messaging.errors import BrokerError, GroupRefused, IdentityTaken
from core_messaging.settings import Settings

_LEAVE_TIMEOUT = 1.0  # seconds the broker has to answer a member that leaves while it joins

logger = logging.getLogger("core_messaging.kafka")


class FencedInstanceIdError(kafka_errors.BrokerResponseError):  # type: ignore[misc] # the client is untyped
    """The broker's error 82 (FENCED_INSTANCE_ID, KIP-345), which the client (0.14) does not know."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another member has registered under the same group.instance.id."


def patch_membership(wrap: Callable[[type, str, Callable[..., Any]], None]) -> None:
    """Patch the client. *wrap* (class, method name, decorator) puts a decorator around a method of the client once."""
    kafka_errors.kafka_errors.setdefault(FencedInstanceIdError.errno, FencedInstanceIdError)
    wrap(GroupCoordinator, "reset_generation", _keep_member_id)
    wrap(GroupCoordinator, "_do_rejoin_group", _stop_joining_when_closed)
    wrap(CoordinatorGroupRebalance, "perform_group_join", _join_with_former_id)


def membership_error(
    error: Exception, group: str, instance: str | None, settings: Settings
) -> BrokerError | None:
    """Return the error that tells why the client cannot be a member of *group*; None if *error* is about something else.

    *instance*: the static identity that the client joined with, or None.
    """
    if FencedInstanceIdError.__name__ in f"{type(error).__name__} {error}":
        return IdentityTaken(group, settings.kafka_group_instance_id or str(instance))
    if isinstance(error, kafka_errors.InconsistentGroupProtocolError):
        return GroupRefused(
            group,
            "it has members whose assignor is another one than 'sticky', which this worker uses",
            "stop those members (consumers of another library or version), and this worker joins by itself; or give this "
            "worker a group_id of its own",
        )
    if isinstance(error, kafka_errors.InvalidSessionTimeoutError):
        return GroupRefused(
            group,
            f"the broker does not allow a session of {settings.kafka_session_timeout:g} s",
            "set kafka_session_timeout between its group.min.session.timeout.ms and group.max.session.timeout.ms",
        )
    if isinstance(error, kafka_errors.InvalidGroupIdError):
        return GroupRefused(
            group, "the broker does not accept this group id", "give the worker another group_id"
        )
    return None


def _keep_member_id(reset: Callable[[Any], None]) -> Callable[[Any], None]:
    """Remember the member id of a static member when the client forgets it."""

    @functools.wraps(reset)
    def reset_and_keep(self: Any) -> None:
        if self.generation > 0 and self._group_instance_id is not None:
            self.core_former_member_id = self.member_id
        reset(self)

    return reset_and_keep


def _join_with_former_id(join: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """Join under the member id that the client had before.

    Where the group does not know this id any more, the client forgets it and joins as a new member.
    """

    @functools.wraps(join)
    async def join_with_former_id(self: Any) -> Any:
        coordinator = self._coordinator
        former = vars(coordinator).pop("core_former_member_id", "")
        coordinator.member_id = coordinator.member_id or former
        try:
            return await join(self)
        except kafka_errors.KafkaError as error:
            if FencedInstanceIdError.__name__ in str(error):
                raise FencedInstanceIdError(coordinator._group_instance_id) from error  # noqa: SLF001
            raise

    return join_with_former_id


def _stop_joining_when_closed(rejoin: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    """Cancel the join and leave the group when the client is closed while it joins."""

    @functools.wraps(rejoin)
    async def rejoin_until_closed(self: Any, subscription: Any) -> bool:
        joining = asyncio.ensure_future(rejoin(self, subscription))
        try:
            await asyncio.wait([joining, self._closing], return_when=asyncio.FIRST_COMPLETED)
            if joining.done():
                return joining.result()
            await _leave(self)
            return False
        finally:
            if not joining.done():
                joining.cancel()
                await asyncio.wait([joining])

    return rejoin_until_closed


async def _leave(coordinator: Any) -> None:
    """Leave the group, over another connection than the one of the join request.

    The broker answers the requests of one connection in order, and the join request is not answered yet.

    A static member does not leave: the group keeps its place for the process that comes after it.
    """
    member, node = coordinator.member_id, coordinator.coordinator_id
    coordinator.generation = (
        -1
    )  # else the client leaves once more, on the connection where the join request waits
    if not member or node is None or coordinator._group_instance_id is not None:  # noqa: SLF001
        return
    request = LeaveGroupRequest(coordinator.group_id, member)
    try:
        async with asyncio.timeout(_LEAVE_TIMEOUT):
            await coordinator._client.send(node, request, group=ConnectionGroup.DEFAULT)  # noqa: SLF001
    except (kafka_errors.KafkaError, TimeoutError) as error:
        logger.debug("leaving while joining: %r", error)
