"""Gathers the records for one partition while a batch is with the client, then sends them together.

The client's own ``send`` makes a future for each record, looks up its topic and hashes its key. Where the broker refuses a
batch, all records of the batch fail. This module sends whole batches (the client's public ``send_batch``). It halves a
batch that is refused until it finds the record that the broker does not accept, and stores the others. The answer for a
record is a function call.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sized
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol

import msgspec
from aiokafka import errors as kafka_errors

from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.kafka.errors import (
    UNWRITABLE,
    as_publish_error,
    is_too_large,
    is_unknown,
    may_concern_one_record,
)
from core_messaging.records import Outgoing, Receipt, TopicPartition
from core_messaging.text.wording import counted

logger = logging.getLogger("core_messaging.kafka")

# How many times a batch is halved for an error that the client does not know. The error may be about one record. Or the
# broker is in trouble, and many small batches make it worse. Then the remaining records fail with the error, and the caller
# may send them again.
MAX_HALVINGS = 6

_NO_HEADERS: list[tuple[str, bytes]] = []


class PendingRecord(msgspec.Struct, eq=False):
    """A record that waits to be sent, or that is with the broker; later, its answer.

    ``answered``: whether the answer is there. ``offset``: where the record is stored, -1 before that. ``error``: why it is
    not stored.
    """

    record: Outgoing
    target: TopicPartition
    answered: bool = False
    offset: int = -1
    error: BaseException | None = None
    callbacks: tuple[Callable[[PendingRecord], object], ...] = ()

    def answer(self, offset: int, error: BaseException | None = None) -> None:
        """Note the answer: the record is stored at *offset*, or not stored because of *error*. Call the callbacks."""
        self.answered, self.offset, self.error = True, offset, error
        if not self.callbacks:
            return
        callbacks, self.callbacks = self.callbacks, ()
        for callback in callbacks:
            try:
                callback(self)
            except (
                Exception
            ) as bug:  # a bug of this library; the answers of other records must not be lost with it
                context = {"message": f"a callback for the answer of {self.target} failed", "exception": bug}
                asyncio.get_running_loop().call_exception_handler(context)

    def done(self) -> bool:
        """Whether the answer is there."""
        return self.answered

    def cancelled(self) -> bool:
        """Return False: a record that was handed over is not cancelled."""
        return False

    def exception(self) -> BaseException | None:
        """Return why the record is not stored; None if it is stored."""
        return self.error

    def result(self) -> Receipt:
        """Return where the record is stored. Only valid once it is answered. Raises the error of a record that is not stored."""
        if self.error is not None:
            record = self.record
            raise as_publish_error(record.topic, self.error, forwarded=record.forwarded) from self.error
        return Receipt(self.target.topic, self.target.partition, self.offset)

    def add_done_callback(self, callback: Callable[[PendingRecord], object]) -> None:
        """Call *callback* with this record when it is answered; on the next turn of the event loop if it is already."""
        if self.answered:
            asyncio.get_running_loop().call_soon(callback, self)
        else:
            self.callbacks = (*self.callbacks, callback)

    def __await__(self) -> Generator[Any, None, Receipt]:
        if not self.answered:
            # One future for each task that waits: a cancelled task must not cancel the others.
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.add_done_callback(partial(_wake, waiter))
            yield from waiter
        return self.result()


class BatchSender(Protocol):
    """What an outbox needs to send batches; ``ProducerPool`` implements it."""

    def turn_of(self, target: TopicPartition, records: Sized) -> AbstractAsyncContextManager[None]:
        """Wait until a batch may be sent to the broker that leads *target*; see ``ProducerPool.turn_of``."""
        ...

    def new_batch(self, *, compressed: bool = False) -> Any:
        """Return a new, empty batch builder of the client."""
        ...

    def exceeds_a_request(self, record: Outgoing) -> bool:
        """Whether *record* has more bytes than a request of this producer may have."""
        ...

    async def send(self, batch: Any, target: TopicPartition) -> int:
        """Send *batch*; return the offset of its first record. Raises KafkaError, BrokerError."""
        ...


class Outbox:
    """The records for one partition, sent in the order of ``put``. One batch at a time is with the client.

    ``run`` sends until it is cancelled. ``idle`` (asyncio.Event) is set while no record waits or is being sent.
    """

    def __init__(self, target: TopicPartition, sender: BatchSender, linger: float) -> None:
        """*linger*: seconds to wait for more records before a batch is sent."""
        self._target = target
        self._sender = sender
        self._linger = linger
        self._queue: deque[PendingRecord] = deque()
        self._has_records = asyncio.Event()
        # Largest size of a batch in bytes: half of the batch that was too large for the topic. It never grows again: each
        # try whether the topic accepts more by now would cost a refused batch.
        self._max_batch_size = sys.maxsize
        self.idle = asyncio.Event()
        self.idle.set()

    def put(self, record: Outgoing) -> PendingRecord:
        """Send *record* after all records that were put before it."""
        sent = PendingRecord(record, self._target)
        if not self._queue:
            self._has_records.set()
            self.idle.clear()
        self._queue.append(sent)
        return sent

    async def run(self) -> None:
        """Send the gathered records until cancelled; gather further records while a batch is being sent."""
        try:
            while True:
                await self._has_records.wait()
                if self._linger:
                    await asyncio.sleep(self._linger)
                await self._send_all(self._queue)
                self._has_records.clear()
                self.idle.set()
        finally:  # however it ends, no caller waits for ever
            self.give_up()

    def give_up(self) -> None:
        """Answer the gathered records with an error, because the publisher is closed. They are not sent."""
        _answer_rest(self._queue)
        self._queue.clear()
        self.idle.set()

    async def _send_all(self, waiting: deque[PendingRecord], halvings: int = 0) -> None:
        while waiting:
            async with self._sender.turn_of(self._target, waiting):
                batch, sent = self._pack(waiting)
                size = batch.size()
                error = await self._send(batch, sent)
            if error is not None:
                await self._halve_or_fail(sent, size, error, halvings)

    def _pack(
        self, waiting: deque[PendingRecord], *, compressed: bool = False
    ) -> tuple[Any, list[PendingRecord]]:
        """Take as many records from the head of *waiting* as fit into one batch. Return the batch and its records."""
        first = waiting[0].record
        compressed = compressed or (first.forwarded and self._sender.exceeds_a_request(first))
        batch, sent = self._sender.new_batch(compressed=compressed), list[PendingRecord]()
        append, is_limited = batch.append, self._max_batch_size < sys.maxsize
        while waiting:
            # A batch of one record is always sent: it is stored, or refused for good.
            if is_limited and sent and batch.size() >= self._max_batch_size:
                break
            record = waiting[0].record
            try:
                fits = append(
                    key=record.key,
                    value=record.value,
                    timestamp=record.timestamp,
                    headers=list(record.headers) if record.headers else _NO_HEADERS,
                )
            except UNWRITABLE as error:  # it concerns this record only
                waiting.popleft().answer(-1, error)
                continue
            if fits is None:
                break
            sent.append(waiting.popleft())
        return batch, sent

    async def _send(self, batch: Any, sent: list[PendingRecord]) -> Exception | None:
        """Send *batch*. Return the error if the broker stored none of *sent*; else answer each of them."""
        if not sent:
            return None
        batch.close()
        try:
            first = await self._sender.send(batch, self._target)
            for index, each in enumerate(sent):
                # A negative offset: the broker knows that it has stored the batch before, but no longer at which offset.
                each.answer(first + index if first >= 0 else first)
        except asyncio.CancelledError as error:
            _answer_rest(sent)
            if stopping_us(error):
                raise
        except Exception as error:
            return error
        return None

    async def _halve_or_fail(
        self, sent: list[PendingRecord], size: int, error: Exception, halvings: int
    ) -> None:
        """Send the two halves of a refused batch, or answer its records with *error*. Each record has its answer afterwards.

        *size*: of the batch, in bytes. *halvings*: how many times it was halved before.
        """
        if len(sent) == 1 and sent[0].record.forwarded and is_too_large(error):
            await self._send_compressed(sent[0])
            return
        exhausted = is_unknown(error) and halvings >= MAX_HALVINGS
        if len(sent) == 1 or exhausted or not may_concern_one_record(error):
            for each in sent:
                each.answer(-1, error)
            return
        # The broker may refuse one record of the batch, or the batch may be too large as a whole.
        logger.debug(
            "%s refuses a batch of %s (%s); the two halves are sent on their own",
            self._target,
            counted(len(sent), "record"),
            error,
        )
        if is_too_large(error):
            self._max_batch_size = min(self._max_batch_size, size // 2)
        middle = len(sent) // 2
        try:
            await self._send_all(deque(sent[:middle]), halvings + 1)
            await self._send_all(deque(sent[middle:]), halvings + 1)
        finally:
            _answer_rest(sent)

    async def _send_compressed(self, sent: PendingRecord) -> None:
        """Send a forwarded record compressed, after it was too large for this topic without compression.

        A broker has stored this record before. Whoever published it may have compressed it.
        """
        waiting = deque([sent])
        try:
            async with self._sender.turn_of(self._target, waiting):
                batch, packed = self._pack(waiting, compressed=True)
                error = await self._send(batch, packed)
            if error is not None:
                sent.answer(-1, error)
        finally:
            _answer_rest([sent])


def _wake(waiter: asyncio.Future[None], _answer: PendingRecord) -> None:
    if not waiter.done():  # it is done if the waiting task was cancelled
        waiter.set_result(None)


def _answer_rest(sent: Iterable[PendingRecord]) -> None:
    """Answer each record that has no answer yet: the publisher was closed before it was stored."""
    for each in sent:
        if not each.answered:
            each.answer(-1, kafka_errors.ProducerClosed())
