"""Which messages of a partition wait for each other, by the ordering of the worker."""

from __future__ import annotations

from core_messaging.options import Ordering
from core_messaging.rules.lanes import LANE_OF
from tests.unit.rules.records import PlainRecord


def share_a_lane(ordering: Ordering, first: bytes | None, second: bytes | None) -> bool:
    lanes = [LANE_OF[ordering](PlainRecord(number, key)) for number, key in enumerate((first, second))]
    return lanes[0] is not None and lanes[0] == lanes[1]


def test_by_key_only_messages_of_one_key_wait_for_each_other() -> None:
    assert share_a_lane("key", b"a", b"a")
    assert not share_a_lane("key", b"a", b"b")
    assert not share_a_lane("key", None, None)


def test_by_partition_all_messages_wait_also_those_without_a_key() -> None:
    assert share_a_lane("partition", b"a", b"b")
    assert share_a_lane("partition", None, b"b")


def test_without_an_order_no_message_waits() -> None:
    assert not share_a_lane("none", b"a", b"a")
