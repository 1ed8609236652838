"""Which paused partitions lose messages soon, because Kafka deletes what is too old. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core_messaging.records import TopicPartition
from core_messaging.snapshot import WorkerSnapshot

NEARLY = 0.8  # of its retention: a message of that age is soon deleted


@dataclass(frozen=True, slots=True, order=True)
class PausedPartition:
    """A paused partition of one worker with messages that it has not read. ``unread``: the offset of the first of them."""

    worker: str
    source: TopicPartition
    unread: int


def paused_partitions(workers: Iterable[WorkerSnapshot]) -> list[PausedPartition]:
    """The paused partitions of *workers* that have unread messages, as far as the broker has told."""
    found = []
    for worker in workers:
        for source, each in worker.partitions.items():
            unread = each.committed if each.delivered is None else each.delivered
            if each.paused and unread is not None and each.end is not None and unread < each.end:
                found.append(PausedPartition(worker.name, TopicPartition(*source), unread))
    return sorted(found)


def old_before(retention: float, now: float) -> float:
    """What was written before that time is soon deleted. *retention*: seconds. Both times: seconds since the epoch."""
    return now - NEARLY * retention


def at_risk(paused: Iterable[PausedPartition], young: Mapping[TopicPartition, int]) -> list[PausedPartition]:
    """Those of *paused* whose first unread message is soon deleted.

    *young*: the offset of the first record that is not old; a partition is left out where all records are old.
    """
    return [each for each in paused if each.source not in young or each.unread < young[each.source]]
