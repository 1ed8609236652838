"""The request by which a member leaves its group, in both versions, and what its answer says."""

from __future__ import annotations

import io
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from core_messaging.kafka.leave_group import LeaveGroup, LeaveGroupResponse_v3, check_left
from core_messaging.kafka.membership import FencedInstanceIdError, know_fenced_instance_ids


def answer(group_error: int, *members: tuple[str, str | None, int]) -> Any:
    data = LeaveGroupResponse_v3(0, group_error, list(members)).encode()
    return LeaveGroupResponse_v3.decode(io.BytesIO(data))


def test_the_version_is_the_newest_that_the_broker_takes() -> None:
    request = LeaveGroup("mail", "member-1", "pod-1")
    assert (
        request.prepare({13: (0, 5)}).encode() == b"\0\4mail" + b"\0\0\0\1" + b"\0\x08member-1" + b"\0\5pod-1"
    )
    assert request.prepare({13: (0, 1)}).encode() == b"\0\4mail" + b"\0\x08member-1"


def test_a_dynamic_member_needs_no_version_with_identities_unless_the_broker_has_dropped_the_others() -> None:
    # The embedded broker answers version 3 with something else, and each stop logged a traceback of the client.
    request = LeaveGroup("mail", "m")
    assert request.prepare({13: (0, 5)}).encode() == b"\0\4mail" + b"\0\1m"
    assert request.prepare({13: (3, 5)}).encode().endswith(b"\0\1m\xff\xff")


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer(16), kafka_errors.NotCoordinatorForGroupError),
        (answer(0, ("m", None, 25)), kafka_errors.UnknownMemberIdError),
        (answer(0, ("m", "pod-1", 82)), FencedInstanceIdError),
    ],
)
def test_an_error_of_the_group_or_of_the_member_is_raised(response: Any, error: type[Exception]) -> None:
    know_fenced_instance_ids()
    with pytest.raises(error):
        check_left(response)


def test_no_error_is_none() -> None:
    check_left(answer(0, ("m", None, 0)))
