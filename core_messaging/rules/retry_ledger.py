"""Attempts and retries of the messages of one partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core_messaging.records import Record


class RetryLedger:
    """Which messages of one partition were tried before, and how many wait for a retry.

    - ``next_attempts``: offset -> number of the next attempt, where it is not the first one
    - ``waiting``: how many messages wait for a retry, or behind one in their lane

    Due times are seconds on the clock of the engine.
    """

    __slots__ = ("_inherited", "_records", "_released", "next_attempts", "waiting")

    def __init__(self) -> None:
        self.next_attempts: dict[int, int] = {}
        self.waiting = 0
        # Messages that were tried before this assignment and have not come yet: offset -> when the next attempt is due.
        # None: nobody knows when, so the whole delay counts from their delivery.
        self._inherited: dict[int, float | None] = {}
        self._records: dict[
            int, Record
        ] = {}  # those of inherited messages that wait, because their chunk has none
        self._released: dict[int, float] = {}  # offset -> when the retry was due that this assignment gave up

    @property
    def has_inherited(self) -> bool:
        """Whether messages are to come that were tried before this assignment."""
        return bool(self._inherited)

    @property
    def released(self) -> Mapping[int, float]:
        """Offset -> when its retry was due, of the messages whose retry was given up with the partition."""
        return self._released

    def inherit(self, attempts: Mapping[int, int], dues: Mapping[int, float] | None = None) -> None:
        """Messages were tried before: *attempts* is offset -> next attempt. *dues*: when that is due, where it is known."""
        known = dues or {}
        self.next_attempts.clear()
        self.next_attempts.update(attempts)
        self._inherited = {offset: known.get(offset) for offset, number in attempts.items() if number > 1}

    def limit_to(self, limit: int) -> None:
        """No message has the offset *limit* or a later one."""
        for offset in [offset for offset in self.next_attempts if offset >= limit]:
            del self.next_attempts[offset]
        self._inherited = {offset: due for offset, due in self._inherited.items() if offset < limit}

    def due_time(self, offset: int, now: float, delay: Callable[[int], float]) -> float:
        """When the message at *offset*, which has just come, may be tried: *now*, or later.

        *delay*: seconds before an attempt, by its number. Where *now* is minus infinity, the message does not wait.
        """
        if offset not in self._inherited:
            return now
        due = self._inherited.pop(offset)
        if now == float("-inf"):
            return now
        return max(now, now + delay(self.next_attempts.get(offset, 1)) if due is None else due)

    def delivered_up_to(self, offset: int) -> None:
        """All messages up to *offset* have come."""
        self._inherited = {at: due for at, due in self._inherited.items() if at > offset}

    def note_attempt(self, offset: int, number: int) -> None:
        """The next attempt of the message at *offset* is attempt *number*; the commit and the next owner hear of it."""
        if number > 1:
            self.next_attempts[offset] = number

    def keep_record(self, record: Record) -> None:
        """*record* waits for its retry outside of its chunk."""
        self._records[record.offset] = record

    def record_at(self, offset: int) -> Record | None:
        """The record that ``keep_record`` was given for *offset*."""
        return self._records.get(offset)

    def forget(self, offset: int) -> None:
        """The message at *offset* is finished, or begins anew with its first attempt."""
        self.next_attempts.pop(offset, None)
        self._records.pop(offset, None)

    def begin_anew(self, offset: int) -> None:
        """The message at *offset* waits, and its next attempt is its first one."""
        self.next_attempts.pop(offset, None)

    def release(self, offset: int, due: float) -> None:
        """The partition is given back while the message at *offset* waits for its retry at *due*."""
        self._released[offset] = due

    def add_waiting(self, count: int) -> None:
        """*count* more messages wait for a retry, or behind one."""
        self.waiting += count

    def remove_waiting(self, count: int) -> None:
        """*count* messages do not wait any more."""
        self.waiting -= count
