"""The records of one fetch of one partition."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import length_hint

from core_messaging.records import Record
from core_messaging.rules.offset_runs import offsets_of
from core_messaging.rules.record_size import sizes_of

UNDONE, DONE = b"\x00", b"\x01"
SKEWED = 4  # times the average size: a chunk with such a record is measured record by record


class Chunk:
    """The records of one fetch, in the order of their offsets, and which of them are finished.

    - ``offsets``: the offset of each record
    - ``records``: each record, until a job holds it or it is finished; then None
    - ``done``: one byte for each record, 1 if it is finished; the commit scans it once a second
    - ``fresh``: (index, record) of the records that no job was made of yet; to take one is to advance it
    - ``size``, ``largest``: bytes of all records, and of the largest one
    """

    __slots__ = ("_indices", "done", "fresh", "largest", "offsets", "records", "size")

    def __init__(self, records: Sequence[Record]) -> None:
        self.records: list[Record | None] = list(records)
        self.offsets = offsets_of(records)
        self.done = bytearray(len(records))
        self._indices = iter(range(len(records)))
        self.fresh = zip(
            self._indices, self.records, strict=False
        )  # it takes an index first, so that tells how many are left
        sizes = sizes_of(records)
        self.size, self.largest = sum(sizes), max(sizes)

    def finish(self, index: int) -> None:
        """The record at *index* is finished; safe to repeat. ``MessageSchedule.finish`` does the same without this call."""
        self.done[index] = 1
        self.records[index] = None  # one slow record must not keep the payloads of its whole fetch in memory

    def finish_all(self, first: int, after: int) -> None:
        """The records from index *first* to the one before *after* are finished."""
        self.done[first:after] = DONE * (after - first)
        self.records[first:after] = [None] * (after - first)

    def exhaust(self) -> None:
        """Nobody takes a record from here any more."""
        deque(self.fresh, maxlen=0)

    def take(self, count: int) -> list[tuple[int, Record]]:
        """Take up to *count* places whose records no job was made of yet. Returns (index, record) of those not finished."""
        return [(index, record) for index, record in islice(self.fresh, count) if record is not None]

    def hand_over(self, index: int) -> None:
        """A job outside of the chunk holds the record at *index*, so nobody takes it from here."""
        self.records[index] = None

    def absorb(self, later: Chunk) -> None:
        """Become one finished chunk from the first record of this one to the last of *later*; both are finished."""
        self.offsets = (self.offsets[0], later.offsets[-1])
        self.done = bytearray(DONE * len(self.offsets))
        self.records = [None] * len(self.offsets)
        self._indices = iter(range(0))
        self.fresh = zip(self._indices, self.records, strict=False)
        self.size = 0

    @property
    def unfinished(self) -> int:
        """The number of records that are not finished."""
        return self.done.count(0)

    @property
    def first_unfinished(self) -> int | None:
        """The index of the first record that is not finished; None where all are."""
        index = self.done.find(UNDONE)
        return None if index < 0 else index

    @property
    def untaken(self) -> int:
        """The number of records that no job was made of yet."""
        return length_hint(self._indices)

    @property
    def taken(self) -> int:
        """The number of records that were taken, which is the index of the next one."""
        return len(self.records) - length_hint(self._indices)

    def untaken_records(self) -> list[Record]:
        """The records that no job was made of yet and that are not finished."""
        first = len(self.records) - self.untaken
        return [record for record in self.records[first:] if record is not None]

    @property
    def held_bytes(self) -> int:
        """Bytes of the records that are still in memory: an estimate by the average, unless sizes differ much."""
        if self.largest * len(self.done) > SKEWED * self.size:
            return sum(sizes_of([record for record in self.records if record is not None]))
        return self.size * self.unfinished // len(self.done)


def folded(chunks: Iterable[Chunk]) -> deque[Chunk]:
    """*chunks*, where finished ones beside each other become one chunk of two records, the first and the last.

    A key that waits an hour for its retry would otherwise keep a chunk for every fetch of that hour, and each look at the
    partition would take longer.
    """
    kept: deque[Chunk] = deque()
    for chunk in chunks:
        if kept and not chunk.unfinished and not kept[-1].unfinished:
            kept[-1].absorb(chunk)
        else:
            kept.append(chunk)
    return kept
