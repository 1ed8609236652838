"""The client's membership of its group, where the client (0.14) goes on without a word or waits without an end.

A second process with the same ``group_instance_id`` takes the first one's place. The client of the first one takes the answer
for an expired session, joins again under the same identity, and so takes it back: each believes that it has every
partition. Joining under the member id that it had, it hears that the identity is somebody else's (FENCED_INSTANCE_ID).

A client that is closed while it joins waits for the group, which may wait for a dead member's session; and it stays a
member, because it leaves a group only after it has joined it.
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

_LEAVE = 1.0  # seconds the broker has to answer a member that leaves while it joins

logger = logging.getLogger("core_messaging.kafka")


class FencedInstanceIdError(kafka_errors.BrokerResponseError):  # type: ignore[misc] # the client is untyped
    """The broker's answer 82 (FENCED_INSTANCE_ID, KIP-345), which the client (0.14) does not know."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another member has registered under the same group.instance.id."


def patch_membership(wrap: Callable[[type, str, Callable[..., Any]], None]) -> None:
    """*wrap* (class, method, decorator) puts a decorator around a method of the client once."""
    kafka_errors.kafka_errors.setdefault(FencedInstanceIdError.errno, FencedInstanceIdError)
    wrap(GroupCoordinator, "reset_generation", _remembering_who_it_was)
    wrap(GroupCoordinator, "_do_rejoin_group", _unless_it_is_closed)
    wrap(CoordinatorGroupRebalance, "perform_group_join", _as_who_it_was)


def why_not_in(error: Exception, group: str, instance: str | None, settings: Settings) -> BrokerError | None:
    """*error* of the client in our words, if it says why it cannot be a member of *group*."""
    if FencedInstanceIdError.__name__ in f"{type(error).__name__} {error}":
        return IdentityTaken(group, settings.kafka_group_instance_id or str(instance))
    if isinstance(error, kafka_errors.InconsistentGroupProtocolError):
        return GroupRefused(
            group,
            "it has members whose assignor is another one than 'sticky', which is ours",
            "stop those (consumers of another library or version), and this one joins by itself; or give this worker a group_id "
            "of its own",
        )
    if isinstance(error, kafka_errors.InvalidSessionTimeoutError):
        return GroupRefused(
            group,
            f"the broker does not allow a session of {settings.kafka_session_timeout:g} s",
            "set kafka_session_timeout between its group.min.session.timeout.ms and group.max.session.timeout.ms",
        )
    if isinstance(error, kafka_errors.InvalidGroupIdError):
        return GroupRefused(
            group, "the broker does not take this group id", "give the worker another group_id"
        )
    return None


def _remembering_who_it_was(reset: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(reset)
    def remembering(self: Any) -> None:
        if self.generation > 0 and self._group_instance_id is not None:
            self.core_former_member_id = self.member_id
        reset(self)

    return remembering


def _as_who_it_was(join: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """An id that the group does not know any more is forgotten by the client, which then joins anew."""

    @functools.wraps(join)
    async def as_who_it_was(self: Any) -> Any:
        coordinator = self._coordinator
        former = vars(coordinator).pop("core_former_member_id", "")
        coordinator.member_id = coordinator.member_id or former
        try:
            return await join(self)
        except kafka_errors.KafkaError as error:
            if FencedInstanceIdError.__name__ in str(error):
                raise FencedInstanceIdError(coordinator._group_instance_id) from error  # noqa: SLF001
            raise

    return as_who_it_was


def _unless_it_is_closed(rejoin: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    @functools.wraps(rejoin)
    async def unless_it_is_closed(self: Any, subscription: Any) -> bool:
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

    return unless_it_is_closed


async def _leave(coordinator: Any) -> None:
    """On another connection: the broker answers one request of a connection after the other, and the first one waits.

    A static member stays: its place is kept for the process that comes after it.
    """
    member, node = coordinator.member_id, coordinator.coordinator_id
    coordinator.generation = -1  # the client would leave once more, on the connection that is waited for
    if not member or node is None or coordinator._group_instance_id is not None:  # noqa: SLF001
        return
    request = LeaveGroupRequest(coordinator.group_id, member)
    try:
        async with asyncio.timeout(_LEAVE):
            await coordinator._client.send(node, request, group=ConnectionGroup.DEFAULT)  # noqa: SLF001
    except (kafka_errors.KafkaError, TimeoutError) as error:
        logger.debug("leaving while joining: %r", error)
