"""Why the client cannot be a member of its group, and what becomes of its member id and its join."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from core_messaging.errors import GroupRefused, IdentityTaken
from core_messaging.kafka.aiokafka_patches import patch_aiokafka
from core_messaging.kafka.membership import (
    FencedInstanceIdError,
    _join_with_former_id,
    _keep_member_id,
    _stop_joining_when_closed,
    membership_error,
)
from core_messaging.settings import Settings


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (FencedInstanceIdError("pod-1"), IdentityTaken, "pod-1"),
        # The client wraps what it does not know, and keeps the name in the text.
        (kafka_errors.KafkaError(f"{FencedInstanceIdError.__name__}: pod-1"), IdentityTaken, "pod-1"),
        (kafka_errors.InconsistentGroupProtocolError(), GroupRefused, "assignor"),
        (kafka_errors.InvalidSessionTimeoutError(), GroupRefused, "kafka_session_timeout"),
        (kafka_errors.InvalidGroupIdError(), GroupRefused, "group_id"),
    ],
)
def test_each_reason_has_its_remedy(error: Exception, kind: type[Exception], says: str) -> None:
    found = membership_error(error, "g", "pod-1", Settings())
    assert type(found) is kind
    assert says in str(found)


def test_an_outage_is_no_reason_not_to_be_a_member() -> None:
    assert membership_error(kafka_errors.KafkaConnectionError(), "g", None, Settings()) is None


def test_the_client_knows_the_error_of_a_stolen_identity() -> None:
    patch_aiokafka()
    assert kafka_errors.for_code(82) is FencedInstanceIdError


@pytest.mark.parametrize("static", [True, False])
def test_only_a_static_member_joins_again_under_its_former_id(*, static: bool) -> None:
    coordinator = SimpleNamespace(
        generation=3, member_id="m-1", _group_instance_id="pod-1" if static else None
    )

    def reset(self: Any) -> None:
        self.member_id, self.generation = "", -1

    async def join(self: Any) -> str:
        return str(self._coordinator.member_id)

    _keep_member_id(reset)(coordinator)

    async def test() -> Any:
        return await _join_with_former_id(join)(SimpleNamespace(_coordinator=coordinator))

    assert asyncio.run(test()) == ("m-1" if static else "")


def test_a_join_that_waits_for_the_group_ends_when_the_client_is_closed() -> None:
    async def test() -> tuple[bool, bool]:
        cancelled = asyncio.Event()

        async def rejoin(_self: Any, _subscription: Any) -> bool:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return True

        closing = asyncio.get_running_loop().create_future()
        client = SimpleNamespace(
            _closing=closing, member_id="", coordinator_id=None, _group_instance_id=None, generation=1
        )
        asyncio.get_running_loop().call_soon(closing.set_result, None)
        return await _stop_joining_when_closed(rejoin)(client, None), cancelled.is_set()

    assert asyncio.run(test()) == (False, True)
