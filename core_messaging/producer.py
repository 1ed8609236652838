"""Publish messages: ``await get_producer("kafka").send(topic="tasks", message={...}, key="task-123")``."""

from __future__ import annotations

import asyncio
import atexit
import sys
import warnings
import weakref
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from core_messaging.broker import Publisher
from core_messaging.concurrency.fork_safety import in_forked_child
from core_messaging.discovery.project import project_settings
from core_messaging.errors import (
    BrokerError,
    ConfigurationError,
    InvalidRecord,
    KafkaDisabled,
    ManyNotSent,
    MessageError,
    PublishFailed,
)
from core_messaging.plugins.publisher_watch import watched
from core_messaging.publishing.connection import Connection
from core_messaging.publishing.outgoing import HeadersLike, Key, outgoing, topic_name, with_carried
from core_messaging.records import Outgoing, Receipt
from core_messaging.settings import Settings

KINDS = ("kafka",)
IN_FLIGHT = 1_000  # records of one send_many that are with the broker at once


class Producer:
    """Sends messages; a send is over when the broker has acknowledged it (idempotent, ``acks=all``).

    One serves any number of tasks of one event loop. It connects at the first send. ``async with`` gives it back at the
    end of the block: others may use it still, so it stays connected until the workers of this process stop, or the
    event loop ends. ``await close()`` disconnects at once.
    """

    def __init__(self, settings: Settings, made_at: str) -> None:
        self._settings = settings
        self._made_at = made_at
        self._current: Connection | None = None
        self._given_back = False

    async def send(
        self,
        *,
        topic: str,
        message: Any,
        key: Key = None,
        headers: HeadersLike = (),
        partition: int | None = None,
        timestamp: datetime | int | None = None,
    ) -> Receipt:
        """Publish one message and return where it was stored.

        *message*: dict, list, str, bytes, msgspec Struct, dataclass, pydantic model; None is a tombstone.
        *timestamp*: an aware datetime, or milliseconds since the epoch; None: now.

        Raises InvalidRecord, Unencodable, BrokerUnreachable, BrokerRefused, RecordRefused, PublishFailed, KafkaDisabled.
        """
        record = outgoing(topic, message, key, with_carried(headers), partition, timestamp)
        async with self._connection() as publisher:
            return await (await publisher.publish(record))

    async def send_many(
        self,
        *,
        topic: str,
        messages: Iterable[Any] | AsyncIterable[Any],
        key: Callable[[Any], Key] | None = None,
        patience: float | None = None,
    ) -> list[Receipt]:
        """Publish many messages, in order for each partition; the receipts come in the order of *messages*.

        At most 1,000 are under way at once, so *messages* may be long. *patience*: so many seconds without any
        acknowledgement, and what is under way has failed; None: a broker that is silent is waited for. Raises InvalidRecord
        for the topic, and for one text or dict as *messages*, before anything is sent; ManyNotSent, after all that were under way have been answered, which says
        what is stored and what is not.
        """
        topic = topic_name(topic)
        if isinstance(messages, str | bytes | Mapping):  # its letters or keys would be sent
            raise InvalidRecord(
                f"messages is one {type(messages).__name__}", "write a list of messages, or call send"
            )
        async with self._connection() as publisher:
            batch = _Batch(publisher, patience)
            if isinstance(messages, AsyncIterable):
                async for message in messages:
                    if not await batch.took(topic, message, key(message) if key else None):
                        break
            else:
                for message in messages:
                    if not await batch.took(topic, message, key(message) if key else None):
                        break
            return await batch.finish()

    async def send_records(self, records: Iterable[Outgoing]) -> list[Receipt]:
        """As ``send_many``, for records that are made already (see ``outgoing``)."""
        async with self._connection() as publisher:
            batch = _Batch(publisher)
            for record in records:
                topic_name(record.topic)
                await batch.add(record)
                if batch.failures:
                    break
            return await batch.finish()

    def _connection(self) -> Connection:
        if not self._settings.kafka_enabled:
            raise KafkaDisabled("the producer")
        if self._current is None:
            self._current = Connection(partial(_publisher, self._settings), self._closed_by_the_loop)
        return self._current

    async def close(self) -> None:
        """Send what is waiting, and disconnect. Who sends meanwhile has the answer first; safe to repeat; a later send
        connects anew."""
        connection, self._current = self._current, None
        if connection is not None:
            await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given_back = True

    def _closed_by_the_loop(self) -> None:
        if not self._given_back:
            self._warn("was never closed, and its event loop ends, so what it had not sent is lost")

    def __del__(self) -> None:
        if self._current is not None and self._current.is_connected:
            self._warn("was never closed, so what it had not sent may be lost")

    def _warn(self, what: str) -> None:
        warnings.warn(
            f"the producer made at {self._made_at} {what}; "
            "use `async with get_producer(...)` or `await producer.close()`",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )

    def __repr__(self) -> str:
        connected = self._current is not None and self._current.is_connected
        state = "connected" if connected else "not connected"
        return f"<Producer of {self._settings.kafka_bootstrap_servers}, {state}>"


class LooseProducer(Producer):
    """Made where no event loop runs, at the top of a module, say. In each loop it is the producer of that loop."""

    def __init__(self, settings: Settings | None, made_at: str) -> None:
        self._given = settings
        self._made_at = made_at
        self._current = None  # never: each loop's producer has its own

    def _connection(self) -> Connection:
        return self._here()._connection()  # noqa: SLF001 - one of us

    def _here(self) -> Producer:
        return _producer_here(self._given, self._made_at)

    async def close(self) -> None:
        """Close the producer of the running event loop, if there is one."""
        mine = _producers.get(asyncio.get_running_loop(), {}).get(_identity(self._given))
        if mine is not None:
            await mine.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._here().__aexit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Producer made at {self._made_at}, of whatever event loop sends>"


class _Batch:
    """The records of one send_many that are under way."""

    def __init__(self, publisher: Publisher, patience: float | None = None) -> None:
        self._publisher = publisher
        self._patience = patience
        # Of the last one that was sent; when it was, or one was acknowledged.
        self._topic, self._heard_at = "", 0.0
        self._under_way: deque[tuple[int, Awaitable[Receipt]]] = deque()
        self._receipts: list[Receipt] = []
        self._count = 0
        self.failures: dict[int, Exception] = {}

    async def took(self, topic: str, message: Any, key: Key) -> bool:
        """Send *message*, waiting for the oldest one where too many are under way. False: nothing more may follow."""
        try:
            record = outgoing(topic, message, key, with_carried(()))
        except MessageError as error:
            self.failures[self._count] = error
            return False
        await self.add(record)
        return not self.failures

    async def add(self, record: Outgoing) -> None:
        index, self._count = self._count, self._count + 1
        try:
            answer = await self._publisher.publish(record)
        except BrokerError as error:
            self.failures[index] = error
            return
        self._under_way.append((index, answer))
        if self._patience is not None:  # whoever makes the messages may take his time
            self._topic, self._heard_at = record.topic, asyncio.get_running_loop().time()
        if len(self._under_way) >= IN_FLIGHT:
            await self._oldest()

    async def _oldest(self) -> None:
        index, answer = self._under_way.popleft()
        try:
            self._receipts.append(
                await (answer if self._patience is None else self._in_time(answer, self._patience))
            )
        except BrokerError as error:
            self.failures[index] = error

    async def _in_time(self, answer: Awaitable[Receipt], patience: float) -> Receipt:
        """All that wait have the same time, from the last that was sent or acknowledged: a thousand do not wait in turn."""
        try:
            async with asyncio.timeout_at(self._heard_at + patience):
                receipt = await answer
        except TimeoutError as error:
            raise PublishFailed(self._topic, f"no answer within {patience:g} s") from error
        self._heard_at = asyncio.get_running_loop().time()
        return receipt

    async def finish(self) -> list[Receipt]:
        while self._under_way:
            await self._oldest()
        if self.failures:
            raise ManyNotSent(self._receipts, self.failures)
        return self._receipts


def _publisher(settings: Settings) -> Publisher:
    from core_messaging.plugins.factories import broker_of  # noqa: PLC0415 - what makes brokers only where one is used

    return watched(broker_of(settings).publisher())


# The producers of each event loop. Weak: a loop that is gone takes its producers along (with their warning).
_producers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int | None, Producer]] = (
    weakref.WeakKeyDictionary()
)


def get_producer(kind: str = "kafka", *, settings: Settings | None = None) -> Producer:
    """The producer of the running event loop; the same one at every call with the same settings.

    Where no loop is running (at the top of a module, say) it is the producer of whatever loop sends with it.

    *settings* None: those of the project in the current folder. Raises ConfigurationError for an unknown *kind*.
    """
    check_kind(kind)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return LooseProducer(settings, called_from())
    return _producer_here(settings, called_from())


def _producer_here(settings: Settings | None, made_at: str) -> Producer:
    """The one producer of the running event loop with *settings*."""
    mine = _producers.setdefault(asyncio.get_running_loop(), {})
    identity = _identity(settings)
    if identity not in mine:
        mine[identity] = Producer(settings or project_settings(), made_at)
    return mine[identity]


def _identity(settings: Settings | None) -> int | None:
    """By identity, not by value: a dump hides the password, so two settings that differ in it look alike. The
    producer keeps its settings alive, so an id is not used twice."""
    return None if settings is None else id(settings)


def check_kind(kind: str) -> None:
    """Raises ConfigurationError for a kind of producer that does not exist."""
    if kind not in KINDS:
        raise ConfigurationError(f"there is no producer of kind {kind!r}; there is {', '.join(KINDS)}")


def called_from() -> str:
    """``file:line`` of the call into this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("core_messaging."):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@atexit.register
def _close_at_exit() -> None:
    """Of event loops that nobody has closed. The others have closed theirs, or are past closing anything."""
    for loop, producers in list(_producers.items()):
        if not loop.is_closed() and not loop.is_running():
            for producer in producers.values():
                loop.run_until_complete(producer.close())


in_forked_child(_producers.clear)  # they are the parent's


async def close_producers() -> None:
    """Close the producers of the running event loop; workers do it at shutdown."""
    for producer in _producers.pop(asyncio.get_running_loop(), {}).values():
        await producer.close()
