"""What the client does not expect is an outage like any other, and ends none of its tasks."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable
from typing import Any

import pytest
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from core_messaging.kafka.aiokafka_patches import patch_aiokafka
from core_messaging.kafka.client_lifecycle import connect, stop
from core_messaging.producer import get_producer
from tests.integration.brokers import RunningBroker
from tests.integration.harness import PATIENCE, run, settings_for


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_request_on_a_connection_that_has_just_been_reset_is_a_connection_error(
    apache_broker: RunningBroker, loop_factory: Any
) -> None:
    # uvloop raises RuntimeError there. It ended the client's metadata task, and a producer hung for ever.
    host, port = apache_broker.address.split(":")
    patch_aiokafka()

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
        async with asyncio.timeout(PATIENCE):
            await raised.wait()
        assert not connection.connected()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(test())


def test_a_start_that_is_cancelled_while_the_broker_is_asked_leaves_no_connection(
    apache_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The connection was open until Python found it. It happened to who stopped while a failed producer was replaced.
    patch_aiokafka()
    settings, asked = settings_for(apache_broker.address), list[Any]()
    send = AIOKafkaConnection.send

    async def test() -> None:
        @functools.wraps(send)
        def send_and_cancel(self: Any, request: Any, **options: Any) -> Any:
            if isinstance(request, MetadataRequest):
                asked.append(self)
                starting.cancel()
            return send(self, request, **options)

        monkeypatch.setattr(AIOKafkaConnection, "send", send_and_cancel)
        make = functools.partial(AIOKafkaProducer, bootstrap_servers=apache_broker.address)
        starting = asyncio.create_task(connect(settings, make))
        await asyncio.wait([starting])
        assert starting.cancelled()
        assert [connection.connected() for connection in asked] == [False]

    run(test())


def test_a_stop_that_is_cancelled_leaves_no_connection(apache_broker: RunningBroker) -> None:
    # The end of the event loop cancels it, where a replaced producer is being stopped.
    async def test() -> None:
        make = functools.partial(AIOKafkaProducer, bootstrap_servers=apache_broker.address)
        client = await connect(settings_for(apache_broker.address), make)
        await client.client.force_metadata_update()
        connections = list(client.client._conns.values())
        stopping = asyncio.create_task(stop(client))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])
        assert connections
        assert not any(connection.connected() for connection in connections)

    run(test())


@pytest.mark.parametrize(
    ("versions", "error"),
    [({}, kafka_errors.IncompatibleBrokerVersion), ({22: (99, 99)}, NotImplementedError)],
)
def test_a_broker_that_does_not_know_a_request_is_no_lost_connection(
    apache_broker: RunningBroker, versions: dict[int, tuple[int, int]], error: type[Exception]
) -> None:
    # Both are RuntimeErrors as well. Taken for a lost connection, the request was made again for ever.
    host, port = apache_broker.address.split(":")
    patch_aiokafka()

    async def test() -> None:
        connection = await create_conn(host, int(port))
        connection._versions = versions
        with pytest.raises(error):
            connection.send(InitProducerIdRequest("t", 1000))
        assert connection.connected()
        await connection.close()

    run(test())


def test_metadata_that_cannot_be_taken_in_is_asked_for_again(
    apache_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The client's task ended with that error, nobody looked at it, and whoever published waited for ever.
    take_in, answers = AIOKafkaClient._metadata_update, list[Any]()

    async def first_in_vain(self: Any, cluster: Any, topics: Any) -> Any:
        answers.append(await take_in(self, cluster, topics) if answers else None)
        if answers[-1] is None:
            raise IndexError("a broker of the next century")
        return answers[-1]

    topic = apache_broker.make_topic(1)

    async def test() -> int:
        async with get_producer("kafka", settings=settings_for(apache_broker.address)) as producer:
            monkeypatch.setattr(AIOKafkaClient, "_metadata_update", first_in_vain)
            async with asyncio.timeout(PATIENCE):
                return (await producer.send(topic=topic, message="x")).offset

    assert run(test()) == 0
    assert len(answers) > 1
    assert "the broker is asked again every 1 s" in caplog.text


def test_so_is_that_of_every_five_minutes(
    apache_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody had called for it, so nothing would have woken the task before the next five minutes were over; and
    # whoever needed metadata in between waited for that round too.
    take_in, rounds = AIOKafkaClient._metadata_update, 0

    async def test() -> None:
        patch_aiokafka()
        client = AIOKafkaClient(bootstrap_servers=apache_broker.address, metadata_max_age_ms=10)
        taken_in = asyncio.Event()

        async def first_in_vain(self: Any, cluster: Any, topics: Any) -> Any:
            nonlocal rounds
            rounds += 1
            if rounds == 1:
                client._metadata_max_age_ms = 300_000
                raise IndexError("a broker of the next century")
            taken_in.set()
            return await take_in(self, cluster, topics)

        await client.bootstrap()
        monkeypatch.setattr(AIOKafkaClient, "_metadata_update", first_in_vain)
        async with asyncio.timeout(PATIENCE):
            await taken_in.wait()
        await client.close()

    run(test())
    assert rounds == 2
