"""Records of one partition: sent in their order, a refused batch halved until the culprit is alone, each one answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import CoreMessagingError, PublishFailed, RecordRefused
from core_messaging.kafka.accumulator import Outbox, PendingRecord
from core_messaging.records import Outgoing, TopicPartition

TARGET = TopicPartition("t", 0)


class Batch:
    """Records in one request, ten of them at the most."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, **record: Any) -> object:
        if record["value"] == b"unwritable":
            raise OverflowError("timestamp")
        if len(self.values) == 10:
            return None
        self.values.append(record["value"])
        return self

    def size(self) -> int:
        return len(self.values)

    def close(self) -> None: ...


class Log:
    """A broker's log that refuses some records, or fails for a while."""

    def __init__(self, *refused: bytes, failures: int = 0) -> None:
        self.refused, self.failures = refused, failures
        self.stored: list[bytes] = []

    @asynccontextmanager
    async def turn_of(self, _target: TopicPartition, _records: Sized) -> AsyncIterator[None]:
        yield

    def new_batch(self, *, compressed: bool = False) -> Batch:
        return Batch()

    def exceeds_a_request(self, _record: Outgoing) -> bool:
        return False

    async def send(self, batch: Batch, _target: TopicPartition) -> int:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise kafka_errors.KafkaConnectionError("gone")
        if any(value in self.refused for value in batch.values):
            raise kafka_errors.RecordListTooLargeError
        self.stored += batch.values
        return len(self.stored) - len(batch.values)


def sent(log: Log, *values: bytes) -> list[int | CoreMessagingError]:
    """What becomes of *values*: the offset of each, or its error."""

    async def answer(pending: PendingRecord) -> int | CoreMessagingError:
        try:
            return (await pending).offset
        except CoreMessagingError as error:
            return error

    async def test() -> list[int | CoreMessagingError]:
        outbox = Outbox(TARGET, log, 0.0)
        running = asyncio.ensure_future(outbox.run())
        pending = [outbox.put(Outgoing("t", value, None)) for value in values]
        answers = [await answer(each) for each in pending]
        running.cancel()
        await asyncio.wait([running])
        return answers

    return asyncio.run(test())


@given(st.lists(st.booleans(), max_size=40))
def test_a_refused_record_fails_alone_and_the_others_are_stored_in_their_order(good: list[bool]) -> None:
    values = [b"%d" % number if ok else b"bad" for number, ok in enumerate(good)]
    log = Log(b"bad")
    answers = sent(log, *values)
    assert log.stored == [value for value in values if value != b"bad"]
    for value, answer in zip(values, answers, strict=True):
        if value == b"bad":
            assert isinstance(answer, RecordRefused)
        else:
            assert isinstance(answer, int)
            assert log.stored[answer] == value


def test_an_outage_fails_the_whole_batch_and_may_be_tried_again() -> None:
    log = Log(failures=1)
    answers = sent(log, *[b"%d" % number for number in range(5)])
    assert all(isinstance(answer, PublishFailed) for answer in answers)
    assert log.stored == []


def test_a_record_that_the_client_cannot_write_does_no_harm_to_its_neighbours() -> None:
    log = Log()
    first, second, third = sent(log, b"a", b"unwritable", b"b")
    assert (first, third) == (0, 1)
    assert isinstance(second, RecordRefused)


def test_records_that_are_left_when_the_publisher_closes_get_an_answer() -> None:
    async def test() -> None:
        outbox = Outbox(TARGET, Log(), 0.0)
        pending = outbox.put(Outgoing("t", b"x", None))
        assert not outbox.idle.is_set()
        outbox.give_up()
        assert outbox.idle.is_set()
        with pytest.raises(PublishFailed):
            await pending

    asyncio.run(test())


def test_a_waiter_that_is_cancelled_cancels_no_other_and_each_callback_is_called() -> None:
    async def test() -> tuple[bool, int, list[int]]:
        pending, called = PendingRecord(Outgoing("t", b"x", None), TARGET), list[int]()

        async def wait() -> int:
            return (await pending).offset

        gives_up, waits = asyncio.ensure_future(wait()), asyncio.ensure_future(wait())
        pending.add_done_callback(lambda done: called.append(done.offset))
        await asyncio.sleep(0)
        gives_up.cancel()
        pending.answer(7)
        offset = await waits
        pending.add_done_callback(lambda done: called.append(done.offset))
        await asyncio.sleep(0)
        return gives_up.cancelled(), offset, called

    assert asyncio.run(test()) == (True, 7, [7, 7])


def test_an_answer_is_read_without_waiting_as_from_a_future() -> None:
    stored, refused = (PendingRecord(Outgoing("t", b"1"), TARGET) for _ in range(2))
    assert not stored.done()
    stored.answer(7)
    refused.answer(-1, kafka_errors.MessageSizeTooLargeError())
    assert stored.done()
    assert (stored.result().partition, stored.result().offset) == (0, 7)
    assert refused.done()
    with pytest.raises(RecordRefused):
        refused.result()
