"""Clients are connected and stopped within a limited time, and what they leave behind is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from core_messaging.errors import BrokerRefused, BrokerUnreachable, ConfigurationError
from core_messaging.kafka import client_lifecycle
from core_messaging.kafka.client_lifecycle import connect, stop
from core_messaging.settings import Settings

NOW = Settings(kafka_bootstrap_servers="kafka:9092", kafka_start_timeout=0.001)


class Client:
    """A client whose start fails as the test says."""

    def __init__(self, *errors: Exception, logs: Exception | None = None) -> None:
        self.errors, self.logs, self.stopped = list(errors), logs, 0

    async def start(self) -> None:
        if self.logs is not None:
            logging.getLogger("aiokafka.conn").error("connect failed: %s", self.logs)
        if self.errors:
            raise self.errors.pop(0)

    async def stop(self) -> None:
        self.stopped += 1


def connected(*clients: Client, settings: Settings = NOW) -> Any:
    made = iter(clients)
    return asyncio.run(connect(settings, lambda: next(made)))


def test_a_broker_that_starts_later_is_waited_for_with_a_new_client_and_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = [Client(kafka_errors.KafkaConnectionError("refused")) for _ in range(2)]
    there = Client()
    settings = Settings(kafka_bootstrap_servers="kafka:9092", kafka_start_timeout=30)
    assert connected(*gone, there, settings=settings) is there
    assert [client.stopped for client in gone] == [1, 1]
    assert caplog.text.count("no Kafka broker answers at kafka:9092 yet") == 1


CLOSED = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9092)")


class Attempts:
    """Clients that cannot start, and how many were made; *causes* are what the client logs for its bootstrap servers."""

    def __init__(self, *causes: Exception, ends: int) -> None:
        self.causes, self.ends, self.made = causes, ends, 0

    def __call__(self) -> Any:
        self.made += 1
        if self.made > self.ends:
            return Client()
        return self

    async def start(self) -> None:
        for cause in self.causes:
            logging.getLogger("aiokafka").error("unable to connect: %s", cause)
        raise kafka_errors.KafkaConnectionError("bootstrap failed")

    async def stop(self) -> None: ...


@pytest.mark.parametrize(
    ("causes", "patient"),
    [
        ([CLOSED], False),
        ([CLOSED, CLOSED], False),
        # One of them may come: its machine has not answered yet, or its name is not known yet.
        ([CLOSED, TimeoutError()], True),
        ([OSError(-2, "Name or service not known"), CLOSED], True),
        ([], True),
    ],
)
def test_a_start_gives_up_early_only_where_every_bootstrap_server_refuses_the_connection(
    causes: list[Exception], patient: bool
) -> None:
    attempts = Attempts(*causes, ends=1)
    settings = Settings(kafka_start_timeout=60, kafka_refused_timeout=0.001)
    if patient:
        assert asyncio.run(connect(settings, attempts)) is not None
        assert attempts.made == 2
        return
    with pytest.raises(BrokerUnreachable, match="Connect call failed"):
        asyncio.run(connect(settings, attempts))
    assert attempts.made == 1


def test_a_broker_that_neither_answers_nor_refuses_is_named_once_while_it_is_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_lifecycle, "SILENT", 0.0)

    class Silent(Client):
        async def start(self) -> None:
            await named.wait()

    def note(_record: logging.LogRecord) -> bool:
        named.set()
        return True

    named = asyncio.Event()
    client_lifecycle.logger.addFilter(note)
    try:
        asyncio.run(asyncio.wait_for(connect(Settings(kafka_bootstrap_servers="kafka:9092"), Silent), 30))
    finally:
        client_lifecycle.logger.removeFilter(note)
    assert "(no answer within 0 s)" in caplog.text
    assert caplog.text.count("no Kafka broker answers at kafka:9092 yet") == 1


def test_after_the_time_for_the_start_it_is_unreachable() -> None:
    with pytest.raises(BrokerUnreachable):
        connected(Client(kafka_errors.KafkaConnectionError("refused")))


def test_a_refusal_that_the_client_only_logs_is_found_and_not_tried_again() -> None:
    # The client tries every address, logs why each failed, and raises a general error.
    reason = kafka_errors.SaslAuthenticationFailed("wrong password")
    with pytest.raises(BrokerRefused, match="wrong password"):
        connected(Client(kafka_errors.KafkaConnectionError("bootstrap failed"), logs=reason))


def test_settings_that_the_client_does_not_take_are_one_line() -> None:
    def make() -> Any:
        raise RuntimeError("compression library for zstd not found")

    with pytest.raises(ConfigurationError, match="zstd"):
        asyncio.run(connect(NOW, make))


class Leaving:
    """A client whose stop waits for an answer that never comes, while a task of it goes on."""

    def __init__(self) -> None:
        self._client = self
        self.closed = False
        self.task = asyncio.ensure_future(self.heartbeat())

    async def heartbeat(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


def test_a_client_that_a_silent_broker_does_not_let_go_is_taken_apart() -> None:
    async def test() -> Leaving:
        client = Leaving()
        await asyncio.sleep(0)  # its task has begun
        await stop(client, 0.01)
        assert client.task.cancelled()
        return client

    assert asyncio.run(test()).closed


@pytest.mark.parametrize(
    "ends",
    [
        lambda: asyncio.sleep(0),
        lambda: asyncio.wait_for(asyncio.Event().wait(), 0.001),
    ],
)
def test_a_stop_ends_however_the_client_does(ends: Callable[[], Awaitable[object]]) -> None:
    async def test() -> None:
        client = Client()
        client.stop = ends  # type: ignore[method-assign, assignment]
        client._client = client  # type: ignore[attr-defined]
        client.close = client.start  # type: ignore[attr-defined]
        await stop(client, 1.0)

    asyncio.run(test())
