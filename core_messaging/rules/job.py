"""One message on its way from the fetch to the commit."""

from __future__ import annotations

from collections.abc import Awaitable, Hashable
from typing import Any

import msgspec

from core_messaging.errors import FollowsADeadLetter, TriedBefore, Undecodable
from core_messaging.logs.tracebacks import ExcInfo
from core_messaging.records import Outgoing, Receipt, Record
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.chunk import Chunk


class Sending:
    """What is left to do for a message whose handler is done: its result or its dead letter must be acknowledged.

    - ``outgoing``: the record to publish; it may be shortened
    - ``message``, ``result``: what the handler was given, and what it returned
    - ``error``: why the message is dead-lettered; None for a result
    - ``trace``: the traceback of an error of a new kind, as logging takes it. Few have one, because it keeps frames in memory
    - ``ack``: set while the broker has the record and has not answered
    - ``tries``: how often it was published without success
    """

    __slots__ = ("_whole", "ack", "error", "message", "outgoing", "result", "trace", "tries")

    def __init__(
        self,
        outgoing: Outgoing,
        message: Any,
        result: Any = None,
        error: BaseException | None = None,
        trace: ExcInfo | None = None,
    ) -> None:
        self.outgoing = self._whole = outgoing
        self.message = message
        self.result = result
        self.error = error
        self.trace = trace
        self.ack: Awaitable[Receipt] | None = None
        self.tries = 0

    def sent(self, ack: Awaitable[Receipt]) -> None:
        """The publisher has the record, and *ack* brings the answer of the broker."""
        self.ack = ack

    def not_acknowledged(self) -> None:
        """The broker has not taken the record: it is published again."""
        self.ack = None
        self.tries += 1

    def shorten(self, less: Outgoing) -> None:
        """Publish *less* in place of the record: it was too large."""
        self.outgoing = less

    def restore(self) -> None:
        """Publish the whole record next time."""
        self.outgoing = self._whole

    @property
    def is_shortened(self) -> bool:
        """Whether a shorter record is published in place of the whole one."""
        return self.outgoing is not self._whole


class GivingUp:
    """In place of a ``Sending``: the message is given up in its turn with *error*, without another attempt."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class HeldBack:
    """In place of a ``Sending``: the message would be one dead letter too many (``dlq_limit``). It waits, and begins anew."""

    __slots__ = ()


HELD_BACK = HeldBack()


# A struct, because one is made for every message: it takes a third of the time.
class Job(msgspec.Struct, eq=False):
    """A record in its turn.

    - ``assignment``: the partition, as it was assigned when the record came
    - ``chunk``, ``index``: where the record was delivered
    - ``lane``: what later records must wait for; None where none waits
    - ``attempt``: the number of this attempt, or of the next one
    - ``uncounted``: how many attempts before do not count for ``max_retries``
    - ``error``: what the attempt before raised
    - ``sending``: what is left to do after the handler
    - ``is_abandoned``: it ended without being finished, because its partition was being taken away
    """

    assignment: Assignment
    chunk: Chunk
    index: int
    record: Record
    lane: Hashable
    attempt: int = 1
    uncounted: int = 0
    error: Exception | None = None
    sending: Sending | GivingUp | HeldBack | None = None
    is_abandoned: bool = False

    @property
    def counted_attempt(self) -> int:
        """This attempt, or the next one, as ``max_retries`` counts them."""
        return self.attempt - self.uncounted

    @property
    def is_finished(self) -> bool:
        """Whether its message is finished."""
        return bool(self.chunk.done[self.index])

    def continue_at(self, attempt: int) -> None:
        """An earlier owner of the partition has tried the message: the next attempt has the number *attempt*."""
        self.attempt = attempt

    def attempt_failed(self, error: Exception) -> None:
        """The attempt raised *error*, and another one follows."""
        self.error = error

    def next_attempt(self, *, counted: bool = True) -> None:
        """The next attempt has the next number. *counted* False: ``max_retries`` does not count the one before."""
        self.attempt += 1
        self.uncounted += not counted

    def wait_for_broker(self, sending: Sending) -> None:
        """The handler is done, and the record of *sending* must be acknowledged."""
        self.sending = sending

    def wait_for_giving_up(self, error: BaseException) -> None:
        """No attempt follows: the job is given up with *error* when it is settled."""
        self.sending = GivingUp(error)

    def hold_back(self) -> None:
        """The job is not given up now, although no attempt is left: it waits, and begins anew with all its attempts."""
        self.attempt, self.uncounted, self.error = 1, 0, None
        self.sending = HELD_BACK

    def evict(self) -> None:
        """Give up the job while it waits for its retry: the next attempt is not made."""
        self.wait_for_giving_up(self.error or TriedBefore(self.attempt))
        self.attempt -= 1

    def begin_giving_up(self) -> None:
        """The message is given up now, or begins anew, or its result is not published any more."""
        self.sending = None

    def abandon(self) -> None:
        """Its partition is being taken away, so the retry that it waits for is left to the next owner."""
        self.is_abandoned = True

    def move_to(self, assignment: Assignment, chunk: Chunk, index: int) -> None:
        """Its record was delivered again, to the next assignment of the partition: the job belongs there from now on."""
        self.assignment, self.chunk, self.index = assignment, chunk, index

    def disown(self) -> None:
        """The handler was cancelled: drop its result, whatever it returns."""
        nobody = Assignment(self.assignment.source, 0)
        nobody.fence()
        self.move_to(nobody, Chunk([self.record]), 0)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The job itself: it is the smallest batch."""
        return (self,)

    def __str__(self) -> str:
        """``topic[partition]@offset``."""
        return f"{self.assignment.source}@{self.record.offset}"


def attempts_made(job: Job, error: BaseException) -> int:
    """How often the handler was given the message of *job*, which is given up because of *error*."""
    never = isinstance(error, Undecodable | FollowsADeadLetter)
    return job.attempt - 1 if never else job.attempt
