"""Which delivered records are finished, as runs of offsets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from core_messaging.records import Record
from core_messaging.rules.commit_metadata import Run

_UNDONE, _DONE = b"\x00", b"\x01"


class Delivered(Protocol):
    """Records of one fetch in delivered order: their offsets, and for each whether it is finished (1) or not (0)."""

    @property
    def offsets(self) -> Sequence[int]:
        """The offsets of the records, in order."""
        ...

    @property
    def done(self) -> bytearray:
        """One byte for each record: 1 if it is finished, else 0."""
        ...


def offsets_of(records: Sequence[Record]) -> Sequence[int]:
    """A range where the offsets have no gaps (nearly always): it takes no memory a record."""
    first, last = records[0].offset, records[-1].offset
    if last - first + 1 == len(records):
        return range(first, last + 1)
    return [record.offset for record in records]


def runs_beyond(chunks: Iterable[Delivered]) -> Iterator[Run]:
    """Runs (first offset, last offset) of finished records after the first unfinished one.

    A run spans offsets that were never delivered (gaps), but no record that was delivered and is not done.
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
    """(first index, index after the last, finished) of each stretch of equals, at the speed of memchr."""
    first, size = 0, len(done)
    while first < size:
        after = done.find(_UNDONE if done[first] else _DONE, first)
        after = size if after < 0 else after
        yield first, after, bool(done[first])
        first = after
