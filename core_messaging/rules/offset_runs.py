"""Finished records as runs of offsets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from core_messaging.records import Record
from core_messaging.rules.commit_metadata import Run

_UNDONE, _DONE = b"\x00", b"\x01"


class Delivered(Protocol):
    """Records of one fetch, in the order in which they were delivered."""

    @property
    def offsets(self) -> Sequence[int]:
        """The offsets of the records, in order."""
        ...

    @property
    def done(self) -> bytearray:
        """One byte for each record: 1 if it is finished, else 0."""
        ...


def offsets_of(records: Sequence[Record]) -> Sequence[int]:
    """Return the offsets of *records*: a range where they have no gaps, because that takes no memory for each record."""
    first, last = records[0].offset, records[-1].offset
    if last - first + 1 == len(records):
        return range(first, last + 1)
    return [record.offset for record in records]


def runs_beyond(chunks: Iterable[Delivered]) -> Iterator[Run]:
    """Yield runs (first offset, last offset) of finished records after the first unfinished one.

    A run may span offsets that were never delivered (gaps), but no record that was delivered and is not finished.
    """
    start: int | None = None
    last = 0
    seen_unfinished = False
    for chunk in chunks:
        for first, after, finished in _stretches(chunk.done):
            if not finished:
                if start is not None:
                    yield start, last
                start, seen_unfinished = None, True
            elif seen_unfinished:
                start = chunk.offsets[first] if start is None else start
                last = chunk.offsets[after - 1]
    if start is not None:
        yield start, last


def _stretches(done: bytearray) -> Iterator[tuple[int, int, bool]]:
    """Yield (first index, index after the last, finished) of each stretch of equal bytes, at the speed of memchr."""
    first, size = 0, len(done)
    while first < size:
        after = done.find(_UNDONE if done[first] else _DONE, first)
        after = size if after < 0 else after
        yield first, after, bool(done[first])
        first = after
