"""Publishes messages: ``await get_producer("kafka").send(topic="tasks", message={...}, key="task-123")``."""

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

from core_messaging.broker import Publisher, Sent
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
from core_messaging.publishing.outgoing import (
    HeadersLike,
    Key,
    outgoing,
    outgoing_to,
    topic_name,
    with_carried,
)
from core_messaging.records import Outgoing, Receipt
from core_messaging.settings import Settings

KINDS = ("kafka",)
# Records of one send_many, and their bytes, that may wait for their acknowledgement at the same time.
IN_FLIGHT, IN_FLIGHT_BYTES = 4_000, 32 * 1024 * 1024
GROUP = 250  # records after which the event loop goes once round: the broker stores some while the next ones are made


class Producer:
    """Sends messages. A send returns when the broker has acknowledged it (idempotent, ``acks=all``). See ``get_producer``.

    Any number of tasks of one event loop may share it. It connects at the first send. The end of an ``async with`` block does
    not disconnect, because other code may use the same producer; it stays connected until the workers of this process stop,
    or the event loop ends. ``await close()`` disconnects at once.
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
        """Publish one message and return where it is stored.

        *message*: a dict, list, str, bytes, msgspec Struct, dataclass or pydantic model; None is a tombstone. *key*: str or
        bytes; messages with the same key are in the same partition and in order. *headers*: a dict, or pairs of a name and a
        str or bytes. *partition*: None lets the key decide. *timestamp*: a datetime with a time zone, or milliseconds since
        the epoch; None: now.

        Raises InvalidRecord or Unencodable before anything is sent; KafkaDisabled, BrokerUnreachable or BrokerRefused where
        the producer cannot connect; RecordRefused where the record can never be stored; PublishFailed where it was not
        acknowledged and may be sent again.
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
        """Publish many messages, in order in each partition. Return the receipts in the order of *messages*.

        At most 4,000 messages (32 MB) wait for their acknowledgement at the same time, so *messages* may be long. *key*: a function
        that returns the key of a message. *patience*: after so many seconds without any acknowledgement, the messages that
        wait have failed; None: no limit.

        Raises InvalidRecord for an invalid topic, or for one text or dict as *messages*, before anything is sent. Raises
        ManyNotSent, which tells what is stored and what is not, after all messages that wait have their answers. Otherwise as
        ``send``.
        """
        topic = topic_name(topic)
        if isinstance(messages, str | bytes | Mapping):  # each letter or key would be sent as a message
            raise InvalidRecord(
                f"messages is one {type(messages).__name__}", "write a list of messages, or call send"
            )
        async with self._connection() as publisher:
            batch = _Batch(publisher, patience)
            if isinstance(messages, AsyncIterable):
                async for message in messages:
                    if not await batch.encode_and_add(topic, message, key(message) if key else None):
                        break
            else:
                for message in messages:
                    if not await batch.encode_and_add(topic, message, key(message) if key else None):
                        break
            return await batch.finish()

    async def send_records(self, records: Iterable[Outgoing]) -> list[Receipt]:
        """Publish records that are encoded already (see ``publishing.outgoing``). Otherwise as ``send_many``."""
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
            self._current = Connection(partial(_publisher, self._settings), self._closed_by_loop)
        return self._current

    async def close(self) -> None:
        """Send what is waiting, wait for the answers, and disconnect. Safe to repeat; a later send connects again."""
        connection, self._current = self._current, None
        if connection is not None:
            await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given_back = True

    def _closed_by_loop(self) -> None:
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


class UnboundProducer(Producer):
    """A producer that was made without an event loop, for example in a module. It uses the producer of the running loop."""

    def __init__(self, settings: Settings | None, made_at: str) -> None:
        self._given = settings
        self._made_at = made_at
        self._current = None  # always: the producer of each event loop has its own connection

    def _connection(self) -> Connection:
        return self._of_running_loop()._connection()  # noqa: SLF001 - the same class

    def _of_running_loop(self) -> Producer:
        return _producer_here(self._given, self._made_at)

    async def close(self) -> None:
        """Close the producer of the running event loop, if there is one."""
        mine = _producers.get(asyncio.get_running_loop(), {}).get(_identity(self._given))
        if mine is not None:
            await mine.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._of_running_loop().__aexit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Producer made at {self._made_at}, for any event loop>"


class _Batch:
    """The records of one send_many that wait for their acknowledgement, and the answers so far."""

    def __init__(self, publisher: Publisher, patience: float | None = None) -> None:
        self._publish = publisher.publish
        self._patience = patience
        # The topic of the record that was sent last, and when a record was last sent or acknowledged.
        self._topic, self._active_at = "", 0.0
        self._under_way: deque[tuple[int, Sent]] = deque()  # the bytes of each record, and its answer
        self._bytes = 0
        self._receipts: list[Receipt] = []
        self._answered = 0  # the index of the oldest record that waits
        self.failures: dict[int, Exception] = {}

    async def encode_and_add(self, topic: str, message: Any, key: Key) -> bool:
        """Send *message*; if too many wait, wait for the oldest one first. Return False if nothing more may be sent."""
        try:
            record = outgoing_to(topic, message, key)
        except MessageError as error:
            self.failures[self._answered + len(self._under_way)] = error
            return False
        await self.add(record)
        return not self.failures

    async def add(self, record: Outgoing) -> None:
        """Send *record*; wait for the oldest one if too many wait. Nothing may be sent after a failure."""
        waiting = self._under_way
        try:
            answer = await self._publish(record)
        except BrokerError as error:
            self.failures[self._answered + len(waiting)] = error
            return
        size = len(record.value or b"")
        self._bytes += size
        waiting.append((size, answer))
        if self._patience is not None:  # the time that the caller takes to make its messages does not count
            self._topic, self._active_at = record.topic, asyncio.get_running_loop().time()
        if len(waiting) >= IN_FLIGHT or self._bytes >= IN_FLIGHT_BYTES:
            await self._await_oldest()
        elif not (self._answered + len(waiting)) % GROUP:
            await asyncio.sleep(0)

    async def _await_oldest(self) -> None:
        """Wait for the answer of the oldest record, and note all answers that are there: the broker answers many at a time."""
        answer: Awaitable[Receipt] = self._under_way[0][1]
        if self._patience is not None:
            answer = self._in_time(answer, self._patience)
        try:
            self._note(await answer)
        except BrokerError as error:
            self._note(error)
        while self._under_way and self._under_way[0][1].done():
            try:
                self._note(self._under_way[0][1].result())
            except BrokerError as error:
                self._note(error)

    def _note(self, outcome: Receipt | BrokerError) -> None:
        """Note what became of the oldest record."""
        size, _ = self._under_way.popleft()
        self._bytes -= size
        if isinstance(outcome, BrokerError):
            self.failures[self._answered] = outcome
        else:
            self._receipts.append(outcome)
        self._answered += 1

    async def _in_time(self, answer: Awaitable[Receipt], patience: float) -> Receipt:
        """Wait for *answer*, at most *patience* seconds after the last record that was sent or acknowledged.

        All records that wait have the same deadline: a thousand of them do not wait *patience* seconds one after another.
        """
        try:
            async with asyncio.timeout_at(self._active_at + patience):
                receipt = await answer
        except TimeoutError as error:
            raise PublishFailed(self._topic, f"no answer within {patience:g} s") from error
        self._active_at = asyncio.get_running_loop().time()
        return receipt

    async def finish(self) -> list[Receipt]:
        """Wait for all answers; return the receipts. Raises ManyNotSent."""
        while self._under_way:
            await self._await_oldest()
        if self.failures:
            raise ManyNotSent(self._receipts, self.failures)
        return self._receipts


def _publisher(settings: Settings) -> Publisher:
    from core_messaging.plugins.factories import broker_of  # noqa: PLC0415 - imported only where a broker is used

    return watched(broker_of(settings).publisher())


# The producers of each event loop. The keys are weak: when a loop is collected, its producers are too, and warn.
_producers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int | None, Producer]] = (
    weakref.WeakKeyDictionary()
)


def get_producer(kind: str = "kafka", *, settings: Settings | None = None) -> Producer:
    """Return the producer of the running event loop; the same one at every call with the same settings.

    If no event loop runs (for example in a module), return a producer that uses the one of the loop that sends with it.

    *kind*: only "kafka". *settings*: None uses those of the project in the current folder.

    Raises ConfigurationError for another *kind*, or for wrong settings.
    """
    check_kind(kind)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return UnboundProducer(settings, called_from())
    return _producer_here(settings, called_from())


def _producer_here(settings: Settings | None, made_at: str) -> Producer:
    """Return the producer of the running event loop with *settings*; make it at the first call."""
    mine = _producers.setdefault(asyncio.get_running_loop(), {})
    identity = _identity(settings)
    if identity not in mine:
        mine[identity] = Producer(settings or project_settings(), made_at)
    return mine[identity]


def _identity(settings: Settings | None) -> int | None:
    """Return what tells one instance of settings from another.

    It is the identity and not the value: a dump hides the password, so two settings that differ in it look the same. The
    producer keeps its settings alive, so an id is not used twice.
    """
    return None if settings is None else id(settings)


def check_kind(kind: str) -> None:
    """Raise ConfigurationError for a kind of producer that does not exist."""
    if kind not in KINDS:
        raise ConfigurationError(f"there is no producer of kind {kind!r}; there is {', '.join(KINDS)}")


def called_from() -> str:
    """Return ``file:line`` of the call into this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("core_messaging."):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@atexit.register
def _close_at_exit() -> None:
    """Close the producers of event loops that were not closed. The other loops have closed theirs."""
    for loop, producers in list(_producers.items()):
        if not loop.is_closed() and not loop.is_running():
            for producer in producers.values():
                loop.run_until_complete(producer.close())


in_forked_child(_producers.clear)  # they belong to the parent


async def close_producers() -> None:
    """Close the producers of the running event loop. Workers do it at shutdown."""
    for producer in _producers.pop(asyncio.get_running_loop(), {}).values():
        await producer.close()
