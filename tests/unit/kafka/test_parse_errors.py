"""Where a record is that the client cannot parse, read from the frames of its error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka import errors as kafka_errors

from core_messaging.kafka.parse_errors import remedy_for, unparsable_in
from core_messaging.records import TopicPartition
from tests.unit.rules.records import PlainRecord

PARSED: list[Any] = [PlainRecord(7), PlainRecord(8)]
OTHERS: list[Any] = [PlainRecord(1)]


def _unpack_records(self: Any) -> None:
    assert self.next_fetch_offset == 9
    raise ValueError("9 is no varint")


def getall(parser: Any) -> None:
    ret_list = list(PARSED)
    _unpack_records(parser)
    ret_list.clear()


def fetched_records(parser: Any) -> None:
    drained = {"other": OTHERS}
    getall(parser)
    drained.clear()


def raised_by(call: Any, *arguments: Any) -> Exception:
    try:
        call(*arguments)
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


PARSER = SimpleNamespace(_tp="mine", next_fetch_offset=9)


def test_the_place_and_all_records_that_the_call_had_parsed_are_found() -> None:
    found = unparsable_in(raised_by(fetched_records, PARSER))
    assert found is not None
    assert (found.source, found.offset) == ("mine", 9)
    assert found.before == {"other": OTHERS, "mine": PARSED}


def test_a_read_of_one_partition_has_drained_no_other() -> None:
    found = unparsable_in(raised_by(getall, PARSER))
    assert found is not None
    assert found.before == {"mine": PARSED}


def test_an_error_of_something_else_is_not_taken_for_a_bad_record() -> None:
    assert unparsable_in(raised_by(int, "no number")) is None


def test_a_missing_codec_has_another_remedy_than_a_broken_record() -> None:
    source = TopicPartition("orders", 3)
    assert "pip install" in remedy_for(kafka_errors.UnsupportedCodecError("zstd"), source, 17)
    told = remedy_for(kafka_errors.CorruptRecordException(), source, 17)
    assert "stop the worker" in told
    assert "core kafka reset-offsets NAME --to 18 --topic orders --partition 3" in told
