"""Why the client cannot be a member of its group."""

from __future__ import annotations

import pytest
from aiokafka import errors as kafka_errors

from core_messaging.errors import GroupRefused, IdentityTaken
from core_messaging.kafka.aiokafka_patches import patch_aiokafka
from core_messaging.kafka.membership import (
    FencedInstanceIdError,
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
