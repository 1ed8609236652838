"""The buffer of the Kafka client, read partition by partition, and how long its requests wait."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from aiokafka.structs import TopicPartition as ClientPartition

from core_messaging.kafka.fetch_buffer import (
    FIRST_PART,
    IDLE_LOOK,
    IDLE_POLL,
    LONG_POLL,
    LOOK,
    ClientBuffer,
    FetchedRecord,
    PollWait,
)
from tests.unit.rules.records import PlainRecord


class Fetched:
    """What the client keeps of one partition: records that it parses when they are asked for."""

    def __init__(self, count: int, size: int = 1, bad: int | None = None) -> None:
        self.left = [PlainRecord(offset, value=b"x" * size) for offset in range(count)]
        self.bad = bad  # the offset of a record that cannot be parsed

    def getall(self, count: int) -> list[PlainRecord]:
        taken, rest = self.left[:count], self.left[count:]
        if any(record.offset == self.bad for record in taken):
            raise ValueError("it cannot be parsed")
        self.left = rest
        return taken

    def has_more(self) -> bool:
        return bool(self.left)


def buffer_of(**partitions: Any) -> tuple[ClientBuffer, dict[str, Any]]:
    subscription = SimpleNamespace(
        reassignment_in_progress=False, is_assigned=lambda source: source != "revoked"
    )
    fetcher = SimpleNamespace(_records=partitions, _notify=lambda _future: None, _wait_consume_future=None)
    client = SimpleNamespace(_fetcher=fetcher, _subscription=subscription)
    return ClientBuffer(client), partitions


def offsets(buffer: ClientBuffer, limit: int, size: int = 10**9) -> list[int]:
    return [record.offset for record in buffer.read("a", limit, size)]


def test_partitions_with_records_are_those_that_are_assigned_and_did_not_fail() -> None:
    buffer, _ = buffer_of(a=Fetched(1), revoked=Fetched(1), failed=ValueError("a fetch error"))
    assert buffer.sources() == ["a"]


def test_no_more_than_the_limit_is_taken_and_the_rest_stays() -> None:
    buffer, partitions = buffer_of(a=Fetched(20))
    assert offsets(buffer, 7) == list(range(7))
    assert offsets(buffer, 100) == list(range(7, 20))
    assert partitions == {}  # the client may fetch this partition again


def test_reading_stops_soon_after_the_bytes_are_used_up() -> None:
    buffer, _ = buffer_of(a=Fetched(100, size=1_000))
    assert len(offsets(buffer, 100, size=1)) == FIRST_PART


def test_records_before_one_that_cannot_be_parsed_are_returned_and_the_next_read_raises() -> None:
    buffer, _ = buffer_of(a=Fetched(20, bad=FIRST_PART))
    assert offsets(buffer, 20) == list(range(FIRST_PART))
    with pytest.raises(ValueError, match="cannot be parsed"):
        offsets(buffer, 20)


def parsed(headers: list[tuple[str, bytes]]) -> PartitionRecords:
    """The client's own parser of one partition, with three records."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 10_000)
    for offset, key in enumerate([b"a", None, b"c"]):
        builder.append(offset, 1000 + offset, key, b"%d" % offset if key else None, headers)
    batch = MemoryRecords(bytes(builder.build()))
    return PartitionRecords(ClientPartition("t", 3), batch, [], 0, None, None, True, 0)


def test_the_clients_own_parser_makes_records_of_ours_with_all_that_a_record_has() -> None:
    headers = [("name", b"value")]
    theirs = list(parsed(headers))
    parser = parsed(headers)
    fetched = SimpleNamespace(
        _partition_records=parser, getall=lambda count: list(islice(parser, count)), has_more=lambda: False
    )
    buffer, _ = buffer_of(a=fetched)
    ours = buffer.read("a", 10, 10**9)
    names = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")
    assert [[getattr(record, name) for name in names] for record in ours] == [
        [getattr(record, name) for name in names] for record in theirs
    ]
    assert {type(record) for record in ours} == {FetchedRecord}
    assert {type(record) for record in theirs} == {
        ConsumerRecord
    }  # other consumers of the process are not changed


def test_requests_wait_shortly_for_a_while_after_records_were_left_in_the_buffer() -> None:
    fetcher = SimpleNamespace(_fetch_max_wait_ms=LONG_POLL)
    wait, waits = PollWait(SimpleNamespace(_fetcher=fetcher)), []
    for now, leftover in ((0.0, False), (1.0, True), (1.9, False), (2.1, False)):
        wait.choose(now, found=leftover, leftover=leftover)
        waits.append(fetcher._fetch_max_wait_ms < LONG_POLL)
    assert waits == [False, True, True, False]


def test_the_requests_of_a_client_that_finds_nothing_wait_longer_until_it_finds_a_record() -> None:
    fetcher = SimpleNamespace(_fetch_max_wait_ms=LONG_POLL)
    wait, waits, looks = PollWait(SimpleNamespace(_fetcher=fetcher)), [], list[float]()
    for now, found in (
        (5.0, False),
        (14.9, False),
        (15.1, False),
        (15.2, True),
        (16.0, False),
        (25.3, False),
    ):
        wait.choose(now, found=found, leftover=False)
        waits.append(fetcher._fetch_max_wait_ms)
        looks.append(fetcher._fetcher_timeout)
    assert looks == [LOOK, LOOK, IDLE_LOOK, LOOK, LOOK, IDLE_LOOK]
    assert waits == [LONG_POLL, LONG_POLL, IDLE_POLL, LONG_POLL, LONG_POLL, IDLE_POLL]
