"""What was delivered of one partition, and what of that is finished."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from core_messaging.records import Record
from core_messaging.rules.chunk import DONE, UNDONE, Chunk, folded
from core_messaging.rules.commit_metadata import SURELY_FIT, Run, merged
from core_messaging.rules.offset_runs import runs_beyond

FEW = 32  # chunks that are not worth folding
_RUN = UNDONE + DONE


class OffsetLedger:
    """The delivered and the finished offsets of one partition, during one assignment.

    Offsets are compared in delivered order only. There are gaps, so the offset after one is never "plus one".

    - ``is_placed``: it is known where the partition begins, and its commit was compared with the log
    - ``has_delivered``: a record was delivered; before that, this member can have done nothing wrong
    """

    __slots__ = (
        "_chunks",
        "_finished_before",
        "_fold_at",
        "_largest",
        "_measured",
        "_position",
        "has_delivered",
        "is_placed",
    )

    def __init__(self, position: int | None = None, finished: Iterable[Run] = ()) -> None:
        """*position*: the committed offset, if there is one. *finished*: runs that the commit names beyond it."""
        self.is_placed = False
        self.has_delivered = False
        self._position = position  # the offset after the last delivered record
        self._finished_before = deque(finished)  # by an earlier owner, and not delivered yet
        self._chunks: deque[Chunk] = deque()
        self._fold_at = FEW
        self._largest = 0  # bytes; no record is larger
        self._measured = (0, 0)  # the number of runs when the metadata was last measured, and its size then

    @property
    def position(self) -> int | None:
        """The offset after the last delivered record: where fetching goes on; None: not known yet."""
        return self._position

    def begin_at(self, offset: int) -> None:
        """The first record has *offset*. It is the beginning where there is no commit yet."""
        if self._position is None:
            self._position = offset

    def place(self, position: int, limit: int) -> bool:
        """The first record comes from *position*, and the log ends at *limit*.

        Returns False where the commit names finished messages beyond the end. None of them is believed then.
        """
        self.is_placed = True
        if self._position is None or not self.has_delivered:
            self._position = position
        if not self._finished_before or self._finished_before[-1][1] < limit:
            return True
        self._finished_before.clear()
        return False

    def advance_to(self, position: int) -> None:
        """The client goes on at *position*. What lies before it was delivered, or is no message (the end of a transaction)."""
        if self._position is not None and position > self._position and not self.unfinished:
            self._position = position
            self._chunks.clear()

    def restore(self, finished: Iterable[Run]) -> None:
        """This process knows which messages beyond the commit are *finished*."""
        self._finished_before = deque(finished)

    def deliver(self, records: Sequence[Record]) -> Chunk:
        """Note that *records* came from the broker: at least one, in order. What is known to be finished is not repeated."""
        self._forget_finished()
        if len(self._chunks) >= self._fold_at:
            self._fold()
        chunk = Chunk(records)
        self.has_delivered = True
        self._chunks.append(chunk)
        self._largest = max(self._largest, chunk.largest, chunk.size // len(records) + 1)
        if self._finished_before:
            self._mark_finished(chunk)
        self._position = records[-1].offset + 1
        return chunk

    def _fold(self) -> None:
        self._chunks = folded(self._chunks)
        self._fold_at = max(FEW, 2 * len(self._chunks))

    def _mark_finished(self, chunk: Chunk) -> None:
        # Both sides ascend, so each is walked once.
        runs = self._finished_before
        for index, offset in enumerate(chunk.offsets):
            while runs and runs[0][1] < offset:
                runs.popleft()
            if not runs:
                return
            if runs[0][0] <= offset:
                chunk.finish(index)

    def _forget_finished(self) -> None:
        while self._chunks and self._chunks[0].first_unfinished is None:
            self._chunks.popleft()

    def is_finished(self, offset: int) -> bool:
        """Whether an earlier owner has finished the message at *offset*, which was not delivered yet."""
        return any(first <= offset <= last for first, last in self._finished_before)

    @property
    def committable(self) -> int | None:
        """The offset of the first unfinished message, which a commit may name; None: nothing is known to commit."""
        self._forget_finished()
        if not self._chunks:
            return self._position
        head = self._chunks[0]
        return head.offsets[head.first_unfinished or 0]

    def first_unfinished(self) -> tuple[int, Record | None] | None:
        """Offset and record of the first unfinished message. The record is None where a job holds it."""
        for chunk in self._chunks:
            index = chunk.first_unfinished
            if index is not None:
                return chunk.offsets[index], chunk.records[index]
        return None

    @property
    def unfinished(self) -> int:
        """The number of messages that are delivered and not finished."""
        count = 0
        for chunk in self._chunks:  # a sum over a generator takes longer, and every fetch asks
            count += chunk.done.count(0)
        return count

    def finished_beyond(self) -> Iterator[Run]:
        """Runs of finished messages after the first unfinished one, of those that were delivered."""
        return runs_beyond(self._chunks)

    def finished_from(self, offset: int) -> list[Run]:
        """Runs of finished messages from *offset* on, whether this member or an earlier owner has finished them."""
        # What an earlier owner finished may reach back before the offset, where all of it is finished by now.
        known = merged([*self.finished_beyond(), *self._finished_before])
        return [(max(first, offset), last) for first, last in known if last >= offset]

    def all_finished(self, committed: int) -> list[Run]:
        """Runs of finished messages from the offset *committed* on, those before the first unfinished one included."""
        reached = self.committable or 0
        runs = [(committed, reached - 1)] if committed < reached else []
        return merged(sorted([*runs, *self.finished_beyond(), *self._finished_before]))

    def metadata_size(self, unfinished: int, measure: Callable[[], int]) -> int:
        """Bytes that the runs need beside a commit, about; 0 where they surely fit. *measure* packs them, which is slow."""
        if unfinished + len(self._finished_before) < SURELY_FIT:
            return 0
        # A run begins where a finished record follows an unfinished one, or with a chunk.
        runs = sum(chunk.done.count(_RUN) + 1 for chunk in self._chunks) + len(self._finished_before)
        if runs < SURELY_FIT:
            return 0
        if abs(runs - self._measured[0]) > self._measured[0] // 8:
            self._measured = runs, measure()
        return self._measured[1]

    @property
    def largest_record(self) -> int:
        """Bytes: no record that was delivered is larger."""
        return self._largest

    @property
    def held_bytes(self) -> int:
        """Bytes of values, keys and headers that are still in memory."""
        return sum(chunk.held_bytes for chunk in self._chunks)
