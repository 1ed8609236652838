"""What was delivered of one partition while this member has it, and what of that may be committed.

An ``Assignment`` is made on assign and fenced on revoke: a late result meets a fenced object, not a flag that was reset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from core_messaging.records import Beginning, Committed, Record, TopicPartition
from core_messaging.rules import commit_metadata
from core_messaging.rules.blocked_keys import BlockedKeys
from core_messaging.rules.commit_metadata import SURELY_FIT, CommitNote, Ownership, Run, merged, read
from core_messaging.rules.hold import FENCED, Hold, new_member
from core_messaging.rules.left import Left
from core_messaging.rules.offset_runs import folded, offsets_of, runs_beyond
from core_messaging.rules.record_size import sizes_of
from core_messaging.rules.vanished_owners import PROOF, Vanished, concluded, handed_on, owned

__all__ = ["FENCED", "PROOF", "Assignment", "Chunk", "Hold"]

_UNDONE, _DONE, _RUN = b"\x00", b"\x01", b"\x00\x01"
FEW = 32  # chunks that are not worth folding
SKEWED = 4  # times the average: the largest record of a chunk that is not like the others


class Chunk:
    """The records of one fetch in order, and which are finished: a bytearray that is scanned for the commit once a second."""

    __slots__ = ("assignment", "cursor", "done", "largest", "offsets", "records", "size")

    def __init__(self, assignment: Assignment, records: Sequence[Record]) -> None:
        self.assignment = assignment
        self.records: list[Record | None] = list(records)
        self.offsets = offsets_of(records)
        self.done = bytearray(len(records))
        self.cursor = 0  # the first record nobody has taken yet
        sizes = sizes_of(records)
        self.size, self.largest = sum(sizes), max(sizes)

    def finish(self, index: int) -> None:
        """The record at *index* is finished; once or more often. ``Schedule.finish`` spells this out."""
        if not self.done[index]:
            self.done[index] = 1
            self.records[index] = None  # one slow record must not keep the payloads of its whole fetch alive
            self.assignment.unfinished -= 1

    def absorb(self, later: Chunk) -> None:
        """Both are finished: from here on this one stands for all from its first record to the last of *later*."""
        self.offsets = (self.offsets[0], later.offsets[-1])
        self.done = bytearray(_DONE * len(self.offsets))
        self.records = [None] * len(self.offsets)
        self.cursor = len(self.offsets)
        self.size = 0

    @property
    def unfinished(self) -> int:
        return self.done.count(0)

    @property
    def untaken(self) -> int:
        return len(self.done) - self.cursor

    @property
    def held_bytes(self) -> int:
        """Bytes still held: by the average where all are alike, else what is left is looked at."""
        if self.largest * len(self.done) > SKEWED * self.size:
            return sum(sizes_of([record for record in self.records if record is not None]))
        return self.size * self.unfinished // len(self.done)


class Assignment:
    """One partition during one assignment epoch. Knows nothing of Kafka.

    Offsets are compared in delivered order only: there are gaps, so the next one is never "plus one".
    """

    __slots__ = (
        "_announced_to",
        "_began",
        "_chunks",
        "_finished_before",
        "_fold_at",
        "_inherited",
        "_largest",
        "_member",
        "_noted",
        "_position",
        "_vanished",
        "accused",
        "acknowledged",
        "adopted",
        "alone",
        "announced",
        "attempts",
        "blocked",
        "busy",
        "crashes",
        "doubt",
        "dues",
        "epoch",
        "held",
        "held_lanes",
        "hold",
        "limbo",
        "parked",
        "placed",
        "proven_at",
        "source",
        "successor",
        "suspect",
        "touched",
        "unfinished",
        "waits",
    )

    def __init__(
        self,
        source: TopicPartition,
        epoch: int,
        committed: Committed | None = None,
        member: int | None = None,
    ) -> None:
        """*member*: this process, by ``new_member``; None: one of its own."""
        self.source = source
        self.epoch = epoch
        self._member = member or new_member()
        self.hold = Hold.OPEN
        self.acknowledged = None if isinstance(committed, Beginning) else committed  # the broker's
        self._announced_to: int | None = None  # the commit says that nothing from this offset on was started
        self.announced = False  # the commit says that this member works on the partition
        self.touched = False  # a record was delivered; until then this member can have broken nothing
        self.placed = False  # where it begins is known, and the commit was compared with the log
        self.doubt = ""  # why the commit's metadata is not believed
        self.limbo: dict[int, Any] = {}  # jobs of this member's last assignment that still run, by offset
        self.adopted: dict[int, Any] = {}  # those whose records have come again
        self.successor: Assignment | None = None  # the next one, where the partition came straight back
        self._chunks: deque[Chunk] = deque()
        self._fold_at = FEW
        self.unfinished = 0  # delivered and not finished; counted, because every fetch asks
        self._largest = 0  # bytes of the largest chunk's average value so far
        self._noted = (0, 0)  # how many runs the note had when its size was last looked at, and that size
        self._position = committed.offset if committed else None  # after the last delivered record
        self._finished_before = deque[Run]()  # by an earlier owner, beyond the committed offset
        self.blocked = BlockedKeys()
        self.attempts: dict[int, int] = {}  # offset -> its next attempt, where an earlier owner has tried
        # Of those, what has not come yet -> when its attempt is due; None: nobody knows, so its whole delay from now on.
        self.waits: dict[int, float | None] = {}
        self.parked: dict[int, Record] = {}  # of what waits so, the records: their chunk has given them away
        self.dues: dict[int, float] = {}  # offset -> when its retry would have been due, once this ends
        self.crashes = 0  # earlier owners in a row that vanished without giving the partition back
        self.suspect: int | None = None  # the offset that runs alone, to find out what kills the process
        # The suspect of the owner that vanished, until its turn comes: what waits before it is tried first, and alone.
        self.accused: int | None = None
        self.alone = 0  # earlier owners in a row that vanished while the accused was all that ran
        self.proven_at = 0  # the offset from which on earlier crashes are forgiven
        self._vanished: tuple[int, ...] = ()  # of those owners, the last ones by name
        self._inherited = Ownership()  # what the commit goes on saying until a message is touched
        self._began: Mapping[int, int] = {}  # what the group began with; every commit passes it on
        if committed is not None:
            self._read(committed)
        # Lane -> what waits behind the job that runs (or waits for a retry) there; owned by the schedule.
        self.busy: dict[Hashable, deque[object] | None] = {}
        self.held = 0  # jobs that wait for a retry, or behind one in their lane; and those lanes:
        self.held_lanes: set[Hashable] = set()

    def _read(self, committed: Committed) -> None:
        note, self.doubt = read(committed)
        start = committed.offset
        self._finished_before.extend(note.finished(start))
        self.attempts = note.attempt_of(start)
        self.waits = dict.fromkeys(offset for offset, attempt in self.attempts.items() if attempt > 1)
        self.blocked = BlockedKeys(note.blocked)
        self._began = note.began
        last = note.ownership.shifted(start)
        found = concluded(last, self._member)
        self.crashes, self.suspect, self._vanished = found.crashes, found.suspect, found.owners
        self.accused, self.alone = found.suspect, found.alone
        self.proven_at = last.proven_at
        self._inherited = handed_on(found, self.proven_at)

    def place(self, position: int, end: int | None) -> None:
        """The first record comes from *position*, and the log ends at *end* (None: not known). What the commit says beyond
        that is not believed."""
        self.placed = True
        if self._position is None or not self.touched:
            self._position = position
        limit = position if end is None else max(end, position)
        if self._finished_before and self._finished_before[-1][1] >= limit:
            self._finished_before.clear()
            self.doubt = f"it says that messages beyond the end ({limit}) are finished"
        if self.accused is not None and self.accused >= limit:
            self.accused, self.suspect, self.alone = None, None, 0
            self.doubt = f"it accuses a message beyond the end ({limit})"
        self.proven_at = min(self.proven_at, limit + commit_metadata.PROVEN_AFTER)
        self.attempts = {at: number for at, number in self.attempts.items() if at < limit}
        self.waits = {at: due for at, due in self.waits.items() if at < limit}

    def reach(self, position: int) -> None:
        """The client goes on at *position*, and all before it was delivered, or is no message (the end of a transaction)."""
        if not self.unfinished and self._position is not None and position > self._position:
            self._position = position
            self._chunks.clear()

    def left(self) -> Left:
        """For ``take_over`` of the next assignment of this partition."""
        vanished = Vanished(self.crashes, self._vanished, self.accused, self.alone)
        start, reached = self.acknowledged.offset if self.acknowledged else 0, self.committable() or 0
        runs = [(start, reached - 1)] if start < reached else []
        finished = merged(sorted([*runs, *self.finished_beyond(), *self._finished_before]))
        known = (dict(self.attempts), self.dues, finished, self.blocked.packed())
        return Left(self.acknowledged, vanished, *known)

    def take_over(self, left: Left) -> None:
        """This member had the partition until now, and nobody since: the commit is the one that it left behind."""
        self.crashes, self._vanished, self.accused, self.alone = left.vanished
        self.suspect = None
        self._inherited = handed_on(left.vanished, self.proven_at)
        self._finished_before, self.blocked = deque(left.finished), BlockedKeys(left.blocked)
        self.attempts = dict(left.attempts)
        self.waits = {
            offset: left.dues.get(offset) for offset, attempt in left.attempts.items() if attempt > 1
        }

    def is_poison(self, offset: int) -> bool:
        """Whether the record at *offset* makes members vanish: twice in a row, while nothing else ran, is no chance."""
        return offset == self.accused and self.alone >= PROOF

    def clear_suspicion(self, offset: int) -> None:
        """It ran alone, and nobody has vanished. So did others before it if it is the accused."""
        if offset == self.accused:
            self.accused, self.alone = None, 0

    def due_of(self, offset: int, now: float, delay: Callable[[int], float]) -> float:
        """When the record at *offset*, which has just come, may be tried; *now* of minus infinity waits for nothing."""
        if offset not in self.waits:
            return now
        due = self.waits.pop(offset)
        if now == float("-inf"):
            return now
        return max(now, now + delay(self.attempts.get(offset, 1)) if due is None else due)

    def forget_waits(self, offset: int) -> None:
        """What has come up to *offset* waits, or is finished, or runs."""
        self.waits = {at: due for at, due in self.waits.items() if at > offset}

    def announce(self, end: int) -> bool:
        """Records before *end* come now. Whether that is committed first: after a crash, to know what was in hand at one more."""
        before, watched = (
            self._announced_to,
            self.crashes and end < self.proven_at + commit_metadata.PROVEN_AFTER,
        )
        self._announced_to = end if watched else None
        return self._announced_to != before

    def begin_at(self, offset: int) -> None:
        """Where there is no commit yet, the first record is the beginning."""
        if self._position is None:
            self._position = offset

    def caught_up(self) -> None:
        """The broker has no more records for now. If all are finished, none kills the process."""
        if self.crashes and not self.unfinished:
            self.crashes = 0

    def deliver(self, records: Sequence[Record]) -> Chunk:
        """Note that *records* (at least one, in order) came from the broker."""
        self._forget_finished()
        if len(self._chunks) >= self._fold_at:
            self._fold()
        chunk = Chunk(self, records)
        self.touched = True
        self._chunks.append(chunk)
        self.unfinished += len(records)
        self._largest = max(self._largest, chunk.largest, chunk.size // len(records) + 1)
        if self._finished_before:
            self._mark_finished(chunk)
        self._position = records[-1].offset + 1
        return chunk

    def _mark_finished(self, chunk: Chunk) -> None:
        """Do not repeat what the commit's note says is done. Both sides ascend, so each is walked once."""
        runs = self._finished_before
        for index, offset in enumerate(chunk.offsets):
            while runs and runs[0][1] < offset:
                runs.popleft()
            if not runs:
                return
            if runs[0][0] <= offset:
                chunk.finish(index)

    def is_finished(self, offset: int) -> bool:
        """Whether an earlier owner has finished the record at *offset*, which was not delivered yet."""
        return any(first <= offset <= last for first, last in self._finished_before)

    def committable(self) -> int | None:
        """The offset of the first unfinished record; None while nothing is known to commit."""
        self._forget_finished()
        if not self._chunks:
            return self._position
        head = self._chunks[0]
        return head.offsets[head.done.find(_UNDONE)]

    def progress(self, *, held: bool = True) -> Committed | None:
        """What to commit now; None when the broker knows it already, or nothing was delivered yet.

        ``held`` False: this member gives the partition back in order.
        """
        offset = self.committable()
        if offset is None:
            return None
        if offset >= self.proven_at:
            self.crashes = 0
        commit = Committed(offset, self._note(offset, held=held).encode())
        return None if commit == self.acknowledged else commit

    def _note(self, offset: int, *, held: bool) -> CommitNote:
        # What an earlier owner finished may reach back before the offset, where all of it is done by now.
        known = merged([*self.finished_beyond(), *self._finished_before])
        runs = [(max(first, offset), last) for first, last in known if last >= offset]
        attempts = {at: number for at, number in self.attempts.items() if at >= offset}
        delivered = offset if self._position is None else self._position
        ownership = self._ownership(delivered, held=held)
        return CommitNote.of(offset, runs, attempts, ownership, self.blocked.packed(), self._began)

    def _ownership(self, delivered: int, *, held: bool) -> Ownership:
        if not (self.announced or self.touched):
            return self._inherited  # whoever has touched nothing has neither killed nor cleared anything
        if not held:
            return Ownership()
        vanished = Vanished(self.crashes, self._vanished, self.accused, self.alone)
        if self.crashes and self._announced_to is not None:
            return owned(vanished, self.suspect, max(delivered, self._announced_to), self._member, exact=True)
        return owned(vanished, self.suspect, delivered, self._member)

    def _forget_finished(self) -> None:
        while self._chunks and self._chunks[0].done.find(_UNDONE) < 0:
            self._chunks.popleft()

    @property
    def is_gone(self) -> bool:
        """Whether the partition is being taken from this member, or was, and has not come straight back."""
        return (self.successor or self).hold is not Hold.OPEN

    @property
    def delivered(self) -> int | None:
        """The offset after the last delivered record: where the broker goes on."""
        return self._position

    def _fold(self) -> None:
        self._chunks = folded(self._chunks)
        self._fold_at = max(FEW, 2 * len(self._chunks))

    def note_size(self) -> int:
        """Bytes the commit's note needs by now, about; 0 where it surely fits, because that is cheap to know."""
        if self.unfinished + len(self._finished_before) < SURELY_FIT:
            return 0
        # A run begins where a finished record follows an unfinished one, or with a chunk.
        runs = sum(chunk.done.count(_RUN) + 1 for chunk in self._chunks) + len(self._finished_before)
        if runs < SURELY_FIT:
            return 0
        if abs(runs - self._noted[0]) > self._noted[0] // 8:  # packing it for every fetch would cost too much
            offset = self.committable()
            self._noted = runs, 0 if offset is None else self._note(offset, held=True).size
        return self._noted[1]

    @property
    def most_bytes(self) -> int:
        """As many bytes it holds at most; cheap to know."""
        return self.unfinished * self._largest

    @property
    def held_bytes(self) -> int:
        """Bytes of values, keys and headers still held."""
        return sum(chunk.held_bytes for chunk in self._chunks)

    def oldest(self) -> Record | None:
        """The record the commit waits for."""
        before = {job.record.offset: job.record for job in self._still_running()}
        for chunk in self._chunks:
            first = chunk.done.find(_UNDONE)
            if first >= 0:
                at = min([chunk.offsets[first], *self.limbo])
                return chunk.records[first] or self.parked.get(at) or before.get(at)
        return before[min(before)] if before else None

    def _still_running(self) -> list[Any]:
        """Jobs of the assignment before this one, whether their records came again or not."""
        self.adopted = {at: job for at, job in self.adopted.items() if not job.chunk.done[job.index]}
        mine = (*self.limbo.values(), *self.adopted.values())
        return [job for job in mine if not job.chunk.done[job.index]]

    def finished_beyond(self) -> Iterator[Run]:
        """Runs of finished records after the first unfinished one."""
        return runs_beyond(self._chunks)

    def __repr__(self) -> str:
        return f"<Assignment {self.source} epoch {self.epoch} {self.hold.value}>"
