"""The patches of the client: applied once, and an unexpected error becomes one that the client expects."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.commit import OffsetFetchRequest

from core_messaging.errors import ConfigurationError
from core_messaging.kafka.aiokafka_patches import _with_commit_error, _with_connection_error, patch_aiokafka
from core_messaging.kafka.client_insides import check_network


def test_patching_twice_wraps_each_method_once() -> None:
    patch_aiokafka()
    first = AIOKafkaConnection.send, AIOKafkaClient.send
    patch_aiokafka()
    assert (AIOKafkaConnection.send, AIOKafkaClient.send) == first
    assert not hasattr(AIOKafkaConnection.send.__wrapped__, "__wrapped__")


def test_a_client_without_a_name_that_the_patches_need_is_refused_by_that_name() -> None:
    # Otherwise the first outage would tell, by an AttributeError in a task that nobody looks at.
    class Newer:
        hosts = _md_synchronizer = _metadata_update = None

    with pytest.raises(ConfigurationError, match=r"has no Newer\._get_conn, .* install 'aiokafka>="):
        check_network(Newer)


class Connection:
    """A connection of the client."""

    host, port = "kafka", 9092

    def __init__(self) -> None:
        self.closed_because: Any = None

    def close(self, reason: Any) -> None:
        self.closed_because = reason


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RuntimeError("the transport is closed"), kafka_errors.KafkaConnectionError),
        (kafka_errors.IncompatibleBrokerVersion("too old"), kafka_errors.IncompatibleBrokerVersion),
        (NotImplementedError("no such request"), NotImplementedError),
    ],
)
def test_a_closed_transport_is_a_lost_connection_and_the_clients_own_errors_stay(
    raised: Exception, expected: type[Exception]
) -> None:
    connection = Connection()

    def write(_self: Any) -> None:
        raise raised

    with pytest.raises(expected):
        _with_connection_error(write)(connection)
    assert (connection.closed_because is not None) == (expected is kafka_errors.KafkaConnectionError)


@pytest.mark.parametrize(("code", "raises"), [(0, False), (16, True)])
def test_an_answer_that_tells_no_commits_is_an_error_and_not_an_empty_group(
    code: int, *, raises: bool
) -> None:
    async def send(_self: Any, _node: Any, _request: Any) -> Any:
        return SimpleNamespace(error_code=code, topics=[])

    async def test() -> Any:
        return await _with_commit_error(send)(None, 1, OffsetFetchRequest("g", []))

    if raises:
        with pytest.raises(kafka_errors.NotCoordinatorForGroupError):
            asyncio.run(test())
    else:
        assert asyncio.run(test()).topics == []
