"""A connection that ends between two requests is an outage like any other, on every event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
import uvloop
from aiokafka import errors as kafka_errors
from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest

from core_messaging.brokers.kafka_connections import expect_closed_transports
from tests.conftest import RunningBroker


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_request_on_a_connection_that_has_just_been_reset_is_a_connection_error(
    apache_broker: RunningBroker, loop_factory: Any
) -> None:
    # uvloop raises RuntimeError there. It ended the client's metadata task, and a producer hung for ever.
    host, port = apache_broker.address.split(":")
    expect_closed_transports()

    async def test() -> None:
        connection = await create_conn(host, int(port))
        loop, raised = asyncio.get_running_loop(), asyncio.Event()

        async def answer(request: Awaitable[Any]) -> None:
            with pytest.raises(kafka_errors.KafkaConnectionError):
                await request
            raised.set()

        def send() -> None:  # after the transport is closed, before its reader has heard of it
            try:
                answers.append(asyncio.ensure_future(answer(connection.send(MetadataRequest([])))))
            except kafka_errors.KafkaConnectionError:
                raised.set()

        answers: list[asyncio.Future[None]] = []
        connection._writer.transport.abort()
        loop.call_soon(send)
        async with asyncio.timeout(10):
            await raised.wait()
        assert not connection.connected()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(test())
