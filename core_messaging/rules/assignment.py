"""One partition during one assignment to this member: what was delivered, and what of that may be committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from core_messaging.records import Beginning, Committed, Record, TopicPartition
from core_messaging.rules.assignment_state import FENCED, AssignmentState
from core_messaging.rules.blocked_keys import BlockedKeys
from core_messaging.rules.carried_jobs import CarriedJob, CarriedJobs
from core_messaging.rules.chunk import Chunk
from core_messaging.rules.commit_metadata import CommitNote, NotePacker, Run, read
from core_messaging.rules.crash_record import CrashRecord
from core_messaging.rules.crashed_owners import PROOF
from core_messaging.rules.offset_ledger import OffsetLedger
from core_messaging.rules.remembered_state import RememberedState
from core_messaging.rules.retry_ledger import RetryLedger

__all__ = ["FENCED", "PROOF", "Assignment", "AssignmentState"]


class Assignment:
    """One partition during one epoch: from the moment the group assigns it until this member has to let it go.

    The partition gets a new one when it is assigned again. So a late result meets a fenced object, and not a flag that was
    reset meanwhile.

    - ``source``, ``epoch``: the partition, and the number of the assignment; epochs only grow
    - ``state``: open, draining or fenced; it goes this way only
    - ``offsets``: what was delivered, and what of that is finished
    - ``retries``: what was tried before, and how many messages wait for a retry
    - ``crash_record``: earlier owners that crashed, and the messages that are suspected
    - ``blocked_keys``: keys whose messages follow a dead letter
    - ``acknowledged``: the last commit that the broker has taken
    - ``metadata_refusal``: why the metadata of the commit is not believed; empty where it is
    """

    __slots__ = (
        "_carried_over",
        "_notes",
        "_successor",
        "acknowledged",
        "blocked_keys",
        "crash_record",
        "epoch",
        "metadata_refusal",
        "offsets",
        "retries",
        "source",
        "state",
    )

    def __init__(
        self,
        source: TopicPartition,
        epoch: int,
        committed: Committed | None = None,
        member: int | None = None,
    ) -> None:
        """*committed*: the group's commit. *member*: this process, by ``new_member``; None: one of its own."""
        self.source, self.epoch = source, epoch
        self.state = AssignmentState.OPEN
        self.acknowledged = None if isinstance(committed, Beginning) else committed
        note, self.metadata_refusal = (CommitNote(), "") if committed is None else read(committed)
        start = committed.offset if committed else 0
        self.offsets = OffsetLedger(committed.offset if committed else None, note.finished(start))
        self.retries = RetryLedger()
        self.retries.inherit(note.attempt_of(start))
        self.crash_record = CrashRecord(member, note.ownership.shifted(start) if committed else None)
        self.blocked_keys = BlockedKeys(note.blocked)
        self._notes = NotePacker(note.began)
        self._carried_over = CarriedJobs()
        self._successor: Assignment | None = None  # the next one, where the partition came straight back

    # Delivery

    def place(self, position: int, end: int | None) -> None:
        """The first record comes from *position*, and the log ends at *end*; None: not known.

        What the commit says beyond that is not believed.
        """
        limit = position if end is None else max(end, position)
        if not self.offsets.place(position, limit):
            self.metadata_refusal = f"it says that messages beyond the end ({limit}) are finished"
        if not self.crash_record.limit_to(limit):
            self.metadata_refusal = f"it suspects a message beyond the end ({limit})"
        self.retries.limit_to(limit)

    def begin(self, offset: int) -> bool:
        """The first record that this member works on has *offset*. True for the first time: a commit must say so before."""
        self.offsets.begin_at(offset)
        return self.crash_record.announce()

    def deliver(self, records: Sequence[Record]) -> Chunk:
        """Note that *records* came from the broker: at least one, in order."""
        return self.offsets.deliver(records)

    def caught_up(self) -> None:
        """The broker has no more records for now. If all are finished, none of them ends the process."""
        if self.crash_record.crashes and not self.offsets.unfinished:
            self.crash_record.forgive()

    @property
    def delivered(self) -> int | None:
        """The offset after the last delivered record: where the broker goes on."""
        return self.offsets.position

    @property
    def unfinished(self) -> int:
        """The number of messages that are delivered and not finished."""
        return self.offsets.unfinished

    @property
    def in_flight(self) -> int:
        """The number of unfinished messages that do not wait for a retry, or behind one."""
        return self.offsets.unfinished - self.retries.waiting

    def oldest(self) -> Record | None:
        """The record that the commit waits for."""
        first = self.offsets.first_unfinished()
        if first is None:
            return self._carried_over.oldest()
        offset, record = first
        return record or self.retries.record_at(offset) or self._carried_over.record_at(offset)

    # Commit

    def committable(self) -> int | None:
        """The offset of the first unfinished message; None while nothing is known to commit."""
        return self.offsets.committable

    def finished_beyond(self) -> Iterator[Run]:
        """Runs of finished messages after the first unfinished one."""
        return self.offsets.finished_beyond()

    def progress(self, *, owned: bool = True) -> Committed | None:
        """What to commit now; None where the broker knows it already, or nothing was delivered yet.

        *owned* False: this member gives the partition back in order.
        """
        offset = self.offsets.committable
        if offset is None:
            return None
        if offset >= self.crash_record.proven_from:
            self.crash_record.forgive()
        commit = Committed(offset, self._notes.packed(self._note(offset, owned=owned)))
        return None if commit == self.acknowledged else commit

    def _note(self, offset: int, *, owned: bool) -> CommitNote:
        attempts = {at: number for at, number in self.retries.next_attempts.items() if at >= offset}
        position = self.offsets.position
        ownership = self.crash_record.ownership(
            offset if position is None else position,
            owned_by_us=owned,
            has_delivered=self.offsets.has_delivered,
        )
        runs = self.offsets.finished_from(offset)
        return CommitNote.of(offset, runs, attempts, ownership, self.blocked_keys.packed(), self._notes.began)

    def acknowledge(self, commit: Committed) -> None:
        """The broker has taken *commit*."""
        self.acknowledged = commit

    def metadata_size(self, unfinished: int) -> int:
        """Bytes that the metadata of a commit needs by now, about; 0 where it surely fits, because that is cheap to know.

        *unfinished*: how many messages are, which the caller has counted.
        """
        return self.offsets.metadata_size(unfinished, self._measure)

    def _measure(self) -> int:
        offset = self.offsets.committable
        return 0 if offset is None else self._note(offset, owned=True).size

    # Rebalance

    def drain(self) -> None:
        """The partition is being revoked: nothing starts any more, and what runs may be committed."""
        self.state = AssignmentState.DRAINING

    def fence(self) -> None:
        """The partition is gone: results are dropped from here on."""
        self.state = FENCED

    def remember(self) -> RememberedState:
        """What this process knows of the partition, for ``restore`` of its next assignment."""
        committed = self.acknowledged.offset if self.acknowledged else 0
        return RememberedState(
            acknowledged=self.acknowledged,
            crashed_owners=self.crash_record.crashed_owners,
            attempts=dict(self.retries.next_attempts),
            dues=self.retries.released,
            finished=self.offsets.all_finished(committed),
            blocked_keys=self.blocked_keys.packed(),
        )

    def restore(self, remembered: RememberedState) -> None:
        """This process had the partition until now, and nobody since: the commit is the one that it left behind."""
        self.crash_record.restore(remembered.crashed_owners)
        self.offsets.restore(remembered.finished)
        self.blocked_keys = BlockedKeys(remembered.blocked_keys)
        self.retries.inherit(remembered.attempts, remembered.dues)

    def continue_as(self, successor: Assignment, running: Iterable[CarriedJob]) -> None:
        """The partition came straight back: the *running* jobs of this assignment go on in *successor*."""
        self._successor = successor
        successor.carry(running)

    def carry(self, jobs: Iterable[CarriedJob]) -> None:
        """*jobs* of the assignment before still run, and are jobs of this one when their records come again."""
        self._carried_over.add(jobs)

    @property
    def is_gone(self) -> bool:
        """Whether the partition is being taken from this member, or was, and has not come straight back."""
        return (self._successor or self).state is not AssignmentState.OPEN

    def __repr__(self) -> str:
        return f"<Assignment {self.source} epoch {self.epoch} {self.state.value}>"
