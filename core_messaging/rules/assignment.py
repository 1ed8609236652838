"""What was delivered of one partition while this member has it, and what of that may be committed.

An ``Assignment`` is one partition during one assignment epoch: made on assign, fenced on revoke. When the
partition comes back it is another Assignment, so a result that comes late meets a fenced object, not a flag
that was reset meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from enum import Enum

from core_messaging.records import Committed, Record, TopicPartition

_UNDONE = b"\x00"


class Hold(Enum):
    """How firmly this member holds the partition."""

    OPEN = "open"
    DRAINING = "draining"  # being revoked: what runs may finish and be committed, nothing new starts
    FENCED = "fenced"  # gone: results are dropped, a duplicate beats a loss


class Chunk:
    """The records of one fetch in delivered order, and which of them are finished.

    Finishing is one store into a bytearray; what may be committed is found by scanning at commit time, once a
    second, at the speed of memchr, instead of by bookkeeping with every message.
    """

    __slots__ = ("assignment", "cursor", "done", "offsets", "records", "size")

    def __init__(self, assignment: Assignment, records: Sequence[Record]) -> None:
        self.assignment = assignment
        self.records: list[Record | None] = list(records)
        self.offsets = _offsets(records)
        self.done = bytearray(len(records))
        self.cursor = 0  # the first record nobody has taken yet
        self.size = sum(len(record.value or b"") for record in records)

    def finish(self, index: int) -> None:
        self.done[index] = 1
        self.records[index] = None  # one slow record must not keep the payloads of its whole fetch alive

    @property
    def unfinished(self) -> int:
        return self.done.count(0)

    @property
    def untaken(self) -> int:
        return len(self.done) - self.cursor

    @property
    def held_bytes(self) -> int:
        """Bytes of values still held, by the chunk's average size."""
        return self.size * self.unfinished // len(self.done)


def _offsets(records: Sequence[Record]) -> Sequence[int]:
    """A range where the offsets have no gaps (nearly always): it takes no memory a record."""
    first, last = records[0].offset, records[-1].offset
    if last - first + 1 == len(records):
        return range(first, last + 1)
    return [record.offset for record in records]


class Assignment:
    """One partition during one assignment epoch. Knows nothing of Kafka.

    Offsets are only ever compared in delivered order: compaction and transactions leave gaps, so the next
    offset is whatever is delivered next, never "plus one".
    """

    __slots__ = ("_chunks", "_position", "acknowledged", "busy", "epoch", "held", "hold", "source")

    def __init__(self, source: TopicPartition, epoch: int, committed: Committed | None = None) -> None:
        self.source = source
        self.epoch = epoch
        self.hold = Hold.OPEN
        self.acknowledged = committed  # the commit the broker is known to have
        self._chunks: deque[Chunk] = deque()
        self._position = committed.offset if committed else None  # after the last delivered record
        # Lane -> what waits behind the job that runs (or waits for a retry) there; owned by the schedule.
        self.busy: dict[Hashable, deque[object] | None] = {}
        self.held = 0  # jobs that wait for a retry, or behind one in their lane

    def deliver(self, records: Sequence[Record]) -> Chunk:
        """Note that *records* (at least one, in order) came from the broker."""
        self._forget_finished()
        chunk = Chunk(self, records)
        self._chunks.append(chunk)
        self._position = records[-1].offset + 1
        return chunk

    def committable(self) -> int | None:
        """The offset of the first unfinished record; None while nothing is known to commit."""
        self._forget_finished()
        if not self._chunks:
            return self._position
        head = self._chunks[0]
        return head.offsets[head.done.find(_UNDONE)]

    def progress(self) -> Committed | None:
        """What to commit now; None when the broker knows it already, or nothing was delivered yet."""
        offset = self.committable()
        if offset is None:
            return None
        commit = Committed(offset)
        return None if commit == self.acknowledged else commit

    def _forget_finished(self) -> None:
        while self._chunks and self._chunks[0].done.find(_UNDONE) < 0:
            self._chunks.popleft()

    @property
    def delivered(self) -> int | None:
        """The offset after the last delivered record: where the broker goes on."""
        return self._position

    @property
    def unfinished(self) -> int:
        return sum(chunk.unfinished for chunk in self._chunks)

    @property
    def held_bytes(self) -> int:
        return sum(chunk.held_bytes for chunk in self._chunks)

    def oldest(self) -> Record | None:
        """The record the commit waits for."""
        for chunk in self._chunks:
            first = chunk.done.find(_UNDONE)
            if first >= 0:
                return chunk.records[first]
        return None

    def finished_beyond(self) -> Iterator[tuple[int, int]]:
        """Runs (first offset, last offset) of finished records after the first unfinished one.

        A run spans offsets that were never delivered (gaps), but no record that was delivered and is not done.
        """
        start: int | None = None
        last = 0
        seen_unfinished = False
        for chunk in self._chunks:
            for offset, done in zip(chunk.offsets, chunk.done, strict=True):
                if not done:
                    if start is not None:
                        yield start, last
                    start, seen_unfinished = None, True
                elif seen_unfinished:
                    start = offset if start is None else start
                    last = offset
        if start is not None:
            yield start, last

    def __repr__(self) -> str:
        return f"<Assignment {self.source} epoch {self.epoch} {self.hold.value}>"
