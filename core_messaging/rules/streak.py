"""Fresh messages of one partition that a runner processes one after the other, for as long as no handler waits."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import islice

from core_messaging.records import Record
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.job import Job
from core_messaging.rules.lanes import LaneOf
from core_messaging.rules.partition_queue import PartitionQueue


class Streak:
    """The next messages of one partition, without a job for each.

    While a handler does not wait, nothing else runs in this process. So nobody can see which message it has, or ask for its
    lane. A job is made for a message whose handler waits or fails, and its lane is busy from then on.

    - ``records``: (index, record) of each message; to take one is to advance it
    - ``busy``: the busy lanes of the partition; ``lane_of`` tells the lane of a record
    - ``finished``: how many messages are finished
    """

    __slots__ = ("_chunk", "_first", "_queue", "busy", "finished", "lane_of", "records")

    def __init__(self, queue: PartitionQueue, lane_of: LaneOf, length: int) -> None:
        """Up to *length* messages of the first chunk of *queue*."""
        self._queue, self._chunk = queue, queue.chunks[0]
        self._first = self._chunk.taken  # the first message that is not noted as finished
        self.records: Iterator[tuple[int, Record | None]] = islice(self._chunk.fresh, length)
        self.lane_of, self.busy = lane_of, queue.busy
        self.finished = 0

    @property
    def assignment(self) -> Assignment:
        """The assignment of its messages."""
        return self._queue.assignment

    def finish(self) -> None:
        """All messages that were taken are finished."""
        self._finish_before(self._chunk.taken)

    def pass_over(self) -> None:
        """Leave out the last message that was taken: it is finished already, or its lane is busy and it waits there."""
        index = self._chunk.taken - 1
        self._finish_before(index)
        self._first = index + 1
        record = self._chunk.records[index]
        if record is not None:
            self._queue.wait_behind(self._job(index, record))

    def stop(self) -> Job:
        """Make the job of the last message that was taken; the messages before it are finished."""
        index = self._chunk.taken - 1
        record = self._chunk.records[index]
        if record is None:
            raise AssertionError(f"nobody has the message {index} of {self.assignment}; please report this")
        self._finish_before(index)
        self._first = index + 1
        job = self._job(index, record)
        self._queue.occupy(job)
        return job

    def _finish_before(self, index: int) -> None:
        self._chunk.finish_all(self._first, index)
        self.finished += index - self._first
        self._first = index

    def _job(self, index: int, record: Record) -> Job:
        lane: Hashable = self.lane_of(record)
        return Job(self.assignment, self._chunk, index, record, lane)
