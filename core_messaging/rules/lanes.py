"""Ordering lanes: which messages of a partition wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import attrgetter

from core_messaging.options import Ordering
from core_messaging.records import Record

LaneOf = Callable[[Record], Hashable]

WHOLE_PARTITION = object()


def _lane_by_partition(_record: Record) -> Hashable:
    return WHOLE_PARTITION


def _no_lane(_record: Record) -> Hashable:
    return None


# The lane of a record, by the worker's ``ordering``. Messages of one lane run one after the other; None waits for nothing.
LANE_OF: dict[Ordering, LaneOf] = {
    "key": attrgetter("key"),
    "partition": _lane_by_partition,
    "none": _no_lane,
}
