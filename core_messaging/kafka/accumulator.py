"""Records on their way to one partition: gathered while a batch is with the client, then sent together.

The client's own ``send`` makes a future, a lookup of the topic and a hash of the key for every record, and a batch that
the broker refuses takes all its records with it. Here the batch is the unit (the client's public ``send_batch``), one
that is refused is halved until the record is found that the others need not suffer for, and a record's answer is a
call.
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
    may_be_one_of_many,
)
from core_messaging.records import Outgoing, Receipt, TopicPartition
from core_messaging.text.wording import counted

logger = logging.getLogger("core_messaging.kafka")

# So often a batch is halved for an error that the client does not know: it may be one record, or a broker in trouble,
# which a storm of ever smaller batches does not help. What is left is answered with the error, and may be sent again.
IN_VAIN = 6


class PendingRecord(msgspec.Struct, eq=False):
    """A record that is gathered, or with the broker; later its answer."""

    record: Outgoing
    target: TopicPartition
    answered: bool = False
    offset: int = -1
    error: BaseException | None = None
    callbacks: tuple[Callable[[PendingRecord], object], ...] = ()

    def answer(self, offset: int, error: BaseException | None = None) -> None:
        """It is stored at *offset*, or not stored because of *error*."""
        self.answered, self.offset, self.error = True, offset, error
        callbacks, self.callbacks = self.callbacks, ()
        for callback in callbacks:
            try:
                callback(self)
            except Exception as wrong:  # a bug of ours; the answers of its neighbours must not be lost for it
                told = {"message": f"the answer of {self.target} was not taken", "exception": wrong}
                asyncio.get_running_loop().call_exception_handler(told)

    def cancelled(self) -> bool:
        return False

    def exception(self) -> BaseException | None:
        return self.error

    def result(self) -> Receipt:
        """Where it is stored, once it is answered."""
        return Receipt(self.target.topic, self.target.partition, self.offset)

    def add_done_callback(self, callback: Callable[[PendingRecord], object]) -> None:
        if self.answered:
            asyncio.get_running_loop().call_soon(callback, self)
        else:
            self.callbacks = (*self.callbacks, callback)

    def __await__(self) -> Generator[Any, None, Receipt]:
        if not self.answered:
            # A future of its own for each who waits: one that is cancelled must not cancel the others'.
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.add_done_callback(partial(_wake, waiter))
            yield from waiter
        if self.error is not None:
            record = self.record
            raise as_publish_error(record.topic, self.error, forwarded=record.forwarded) from self.error
        return self.result()


class Clients(Protocol):
    """Hands batches over; ``KafkaClients`` is it."""

    def turn_of(self, target: TopicPartition, records: Sized) -> AbstractAsyncContextManager[None]: ...

    def new_batch(self, *, compressed: bool = False) -> Any: ...

    def exceeds_a_request(self, record: Outgoing) -> bool: ...

    async def send(self, batch: Any, target: TopicPartition) -> int: ...


class Outbox:
    """What goes to one partition, in the order of ``put``; one batch at a time is with the client.

    ``run`` sends for as long as it is not cancelled; ``idle`` is set while nothing is on its way.
    """

    def __init__(self, target: TopicPartition, clients: Clients, linger: float) -> None:
        self._target = target
        self._clients = clients
        self._linger = linger  # seconds
        self._queue: deque[PendingRecord] = deque()
        self._some = asyncio.Event()
        # Bytes of a batch: half of one that was too large for the topic. It never grows again: to find out whether the
        # topic takes more by now would cost a refusal each time.
        self._room = sys.maxsize
        self.idle = asyncio.Event()
        self.idle.set()

    def put(self, record: Outgoing) -> PendingRecord:
        """Send *record* after all that were put before."""
        sent = PendingRecord(record, self._target)
        if not self._queue:
            self._some.set()
            self.idle.clear()
        self._queue.append(sent)
        return sent

    async def run(self) -> None:
        """Send what is gathered, and meanwhile gather what comes."""
        try:
            while True:
                await self._some.wait()
                if self._linger:
                    await asyncio.sleep(self._linger)
                await self._send_all(self._queue)
                self._some.clear()
                self.idle.set()
        finally:  # whatever ended it, nobody waits for ever
            self.give_up()

    def give_up(self) -> None:
        """The publisher is closed: what is gathered is not sent any more."""
        _answer_rest(self._queue)
        self._queue.clear()
        self.idle.set()

    async def _send_all(self, waiting: deque[PendingRecord], halvings: int = 0) -> None:
        while waiting:
            async with self._clients.turn_of(self._target, waiting):
                batch, sent = self._pack(waiting)
                size = batch.size()
                error = await self._send(batch, sent)
            if error is not None:
                await self._not_stored(sent, size, error, halvings)

    def _pack(
        self, waiting: deque[PendingRecord], *, compressed: bool = False
    ) -> tuple[Any, list[PendingRecord]]:
        """As many from the head of *waiting* as fit into one batch."""
        first = waiting[0].record
        compressed = compressed or (first.forwarded and self._clients.exceeds_a_request(first))
        batch, sent = self._clients.new_batch(compressed=compressed), list[PendingRecord]()
        while waiting and (not sent or batch.size() < self._room):  # one fits, or is refused for good
            record = waiting[0].record
            try:
                fits = batch.append(
                    key=record.key,
                    value=record.value,
                    timestamp=record.timestamp,
                    headers=list(record.headers),
                )
            except UNWRITABLE as error:  # of this record alone
                waiting.popleft().answer(-1, error)
                continue
            if fits is None:
                break
            sent.append(waiting.popleft())
        return batch, sent

    async def _send(self, batch: Any, sent: list[PendingRecord]) -> Exception | None:
        """Returns why the broker has none of *sent*; else each has its answer afterwards."""
        if not sent:
            return None
        batch.close()
        try:
            first = await self._clients.send(batch, self._target)
            for index, each in enumerate(sent):
                # Below zero: the broker knows that it has the batch already, and not where any more.
                each.answer(first + index if first >= 0 else first)
        except asyncio.CancelledError as error:
            _answer_rest(sent)
            if stopping_us(error):
                raise
        except Exception as error:
            return error
        return None

    async def _not_stored(
        self, sent: list[PendingRecord], size: int, error: Exception, halvings: int
    ) -> None:
        """Each of *sent* has its answer afterwards."""
        if len(sent) == 1 and sent[0].record.forwarded and is_too_large(error):
            await self._send_compressed(sent[0])
            return
        in_vain = is_unknown(error) and halvings >= IN_VAIN
        if len(sent) == 1 or in_vain or not may_be_one_of_many(error):
            for each in sent:
                each.answer(-1, error)
            return
        # One of them may be what the broker does not take, or all of them together: the others need not suffer.
        logger.debug(
            "%s refuses a batch of %s (%s); it is halved", self._target, counted(len(sent), "record"), error
        )
        if is_too_large(error):
            self._room = min(self._room, size // 2)
        middle = len(sent) // 2
        try:
            await self._send_all(deque(sent[:middle]), halvings + 1)
            await self._send_all(deque(sent[middle:]), halvings + 1)
        finally:
            _answer_rest(sent)

    async def _send_compressed(self, sent: PendingRecord) -> None:
        """A record that a broker has taken before, and that is too large for this topic as it is: whoever published it may
        have compressed it."""
        waiting = deque([sent])
        try:
            async with self._clients.turn_of(self._target, waiting):
                batch, packed = self._pack(waiting, compressed=True)
                error = await self._send(batch, packed)
            if error is not None:
                sent.answer(-1, error)
        finally:
            _answer_rest([sent])


def _wake(waiter: asyncio.Future[None], _answer: PendingRecord) -> None:
    if not waiter.done():  # else whoever waited has been cancelled
        waiter.set_result(None)


def _answer_rest(sent: Iterable[PendingRecord]) -> None:
    for each in sent:
        if not each.answered:
            each.answer(-1, kafka_errors.ProducerClosed())
