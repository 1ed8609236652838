"""One message on its way from fetch to commit."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec

from core_messaging.errors import FollowsADeadLetter, Undecodable
from core_messaging.logs.tracebacks import ExcInfo
from core_messaging.records import Outgoing, Receipt, Record
from core_messaging.rules.assignment import FENCED, Assignment, Chunk


class Sending:
    """What is left to do for a message whose handler is done: its result or its dead letter must be acknowledged.

    ``error`` is None for a result. ``ack`` is set while the broker has the record and has not answered. ``trace`` is the
    traceback of an error of a new kind, as logging takes it: few have one, because it keeps frames alive.
    """

    __slots__ = ("ack", "error", "message", "outgoing", "result", "trace", "tries", "whole")

    def __init__(
        self,
        outgoing: Outgoing,
        message: Any,
        result: Any = None,
        error: BaseException | None = None,
        trace: ExcInfo | None = None,
    ) -> None:
        self.outgoing = self.whole = outgoing
        self.message = message
        self.result = result
        self.error = error
        self.trace = trace
        self.ack: Awaitable[Receipt] | None = None
        self.tries = 0

    def sent(self, ack: Awaitable[Receipt]) -> None:
        """The broker has the record; *ack* is its answer."""
        self.ack = ack

    def not_acknowledged(self) -> None:
        """The broker has not taken the record: it is published again."""
        self.ack = None
        self.tries += 1

    def shorten(self, less: Outgoing) -> None:
        """Publish *less* in its place: it was too large."""
        self.outgoing = less

    def restore(self) -> None:
        """Publish all of it next time."""
        self.outgoing = self.whole

    @property
    def is_shortened(self) -> bool:
        """Whether a shorter record is published in place of the whole one."""
        return self.outgoing is not self.whole


class GivingUp:
    """What stands for a Sending where a message is to be given up in its turn, without another attempt."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


# A struct, because one is made for every message: it takes a third of the time.
class Job(msgspec.Struct, eq=False):
    """A record in its turn. ``lane`` is what later records must wait for; None where nothing waits."""

    chunk: Chunk
    index: int
    record: Record
    lane: Any  # hashable
    attempt: int = 1  # this one, or the next: how often the handler has been given the message
    spared: int = 0  # of the attempts before, those that ``max_retries`` does not count
    error: Exception | None = None  # what the attempt before raised
    sending: Sending | GivingUp | None = None
    given_up: bool = False  # it ended without being finished: its partition was being taken away

    @property
    def assignment(self) -> Assignment:
        """The assignment that the message belongs to."""
        return self.chunk.assignment

    @property
    def counted_attempt(self) -> int:
        """This attempt, or the next, as ``max_retries`` counts them."""
        return self.attempt - self.spared

    def attempt_failed(self, error: Exception) -> None:
        """The attempt raised *error*, and another one follows."""
        self.error = error

    def next_attempt(self, *, counted: bool = True) -> None:
        """The next attempt has the next number. *counted* False: it costs none of the retries."""
        self.attempt += 1
        if not counted:
            self.spared += 1

    def wait_for_broker(self, sending: Sending) -> None:
        """The handler is done, and *sending* must be acknowledged."""
        self.sending = sending

    def wait_for_giving_up(self, error: BaseException) -> None:
        """No attempt follows: the message is given up later, because of *error*."""
        self.sending = GivingUp(error)

    def begin_giving_up(self) -> None:
        """The message is given up now, or its result is not published any more."""
        self.sending = None

    def disown(self) -> None:
        """Whatever its handler still brings counts for nothing: it was cancelled, and may say otherwise."""
        nobody = Assignment(self.assignment.source, 0)
        nobody.hold = FENCED
        self.chunk, self.index = Chunk(nobody, [self.record]), 0

    @property
    def jobs(self) -> tuple[Job, ...]:
        """A job is the smallest batch."""
        return (self,)

    def __str__(self) -> str:
        """``topic[partition]@offset``"""
        return f"{self.chunk.assignment.source}@{self.record.offset}"


def attempts_made(job: Job, error: BaseException) -> int:
    """How often the handler was given the message of *job*, which is given up because of *error*."""
    never = isinstance(error, Undecodable | FollowsADeadLetter)
    return job.attempt - 1 if never else job.attempt
