"""How far a group is: asked again while its coordinator is not ready, and one record at a time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka import errors as kafka_errors

from core_messaging.errors import BrokerError
from core_messaging.kafka import group_offsets
from core_messaging.kafka.group_offsets import KafkaOffsets
from core_messaging.records import TopicPartition
from core_messaging.settings import Settings
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("t", 0)


class Admin:
    """Answers with the errors that the test names first, then with a commit."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def list_consumer_group_offsets(self, _group: str, partitions: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return {source: SimpleNamespace(offset=5, metadata="m") for source in partitions}


class Client:
    """Returns one record, or raises."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def seek(self, _partition: Any, _offset: int) -> None: ...

    async def getmany(self, partition: Any, **_options: Any) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return {partition: self.found}


def test_a_coordinator_that_has_just_moved_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_offsets, "RETRY_AFTER", 0.0)
    admin = Admin(kafka_errors.NotCoordinatorForGroupError(), kafka_errors.GroupLoadInProgressError())
    offsets = KafkaOffsets(Settings(), admin, None)
    commits = asyncio.run(offsets._commits("g", [aiokafka.TopicPartition("t", 0)]))
    assert commits[SOURCE].offset == 5
    assert admin.errors == []


@pytest.mark.parametrize(
    "found",
    [
        [],  # compacted, or never there
        [PlainRecord(8)],  # the record at 7 is gone; the broker gives the next one
        kafka_errors.OffsetOutOfRangeError({}),
        kafka_errors.CorruptRecordException(),
    ],
)
def test_a_record_that_cannot_be_had_is_none(found: Any) -> None:
    assert asyncio.run(KafkaOffsets(Settings(), None, Client(found)).record(SOURCE, 7)) is None


def test_the_record_at_the_offset_is_returned_and_an_outage_is_raised() -> None:
    record = PlainRecord(7)
    assert asyncio.run(KafkaOffsets(Settings(), None, Client([record])).record(SOURCE, 7)) is record
    with pytest.raises(BrokerError):
        asyncio.run(KafkaOffsets(Settings(), None, Client(kafka_errors.KafkaError())).record(SOURCE, 7))
