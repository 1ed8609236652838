"""What the engine asks of a schedule, whether the worker takes single messages or batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from core_messaging.records import Record, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.job import Job
from core_messaging.rules.partition_queue import SettlementQueue


class Schedule(Protocol):
    """Decides which messages of one worker may start next.

    ``MessageSchedule`` and ``BatchSchedule`` implement it. Each of them has a ``take`` of its own, for the loop that runs
    its jobs or its batches. All times are seconds of one clock, which the caller reads.
    """

    @property
    def settlements(self) -> SettlementQueue:
        """Jobs that can be settled and need no handler."""
        ...

    @property
    def next_due(self) -> float | None:
        """When ``release`` has something to do next; None: not before something else happens."""
        ...

    @property
    def waiting_retries(self) -> int:
        """How many messages wait for a retry."""
        ...

    def deliver(self, assignment: Assignment, records: Sequence[Record], now: float = 0.0) -> None:
        """Take in *records* of *assignment*, in the order of their offsets. Ignores them unless it is open."""
        ...

    def give_up_in_turn(self, assignment: Assignment, record: Record, error: Exception) -> None:
        """Take in *record*, which must not meet the handler: it is given up with *error* when its lane is free."""
        ...

    def finish(self, job: Job) -> bool:
        """*job* is settled for good. False: its assignment is fenced, and the result is dropped."""
        ...

    def retry(self, job: Job, due: float) -> None:
        """*job* waits until *due*. It keeps its lane and holds no runner."""
        ...

    def hasten(self, is_meant: Callable[[Job], bool], now: float) -> int:
        """Messages that wait for a retry, and that *is_meant* says yes to, are due *now*. Returns how many.

        A batch that is tried again together is meant if one of its messages is.
        """
        ...

    def release(self, now: float) -> int:
        """Let everything start that is due at *now*. Returns how many runners may find something to do."""
        ...

    def evict(self, assignment: Assignment, count: int) -> int:
        """Give up to *count* waiting retries of *assignment*, the longest waiting first. Returns how many."""
        ...

    def isolate(self, assignment: Assignment | None) -> None:
        """Start messages of *assignment* only; None: of all assignments again."""
        ...

    def drain(self, assignment: Assignment) -> None:
        """Revoke, first half: nothing of *assignment* starts any more. What runs may finish and be committed."""
        ...

    def fence(self, assignment: Assignment) -> None:
        """Revoke, second half: results of *assignment* are dropped from here on."""
        ...

    def carry_over(self, old: Assignment, new: Assignment, running: Iterable[Job]) -> bool:
        """The partition of *old* came straight back as *new*: the *running* jobs of *old* go on there.

        Returns False where none of them can; then *old* is fenced.
        """
        ...

    def close(self) -> None:
        """Shutdown: nothing starts any more, in any assignment."""
        ...

    def working(self) -> set[Assignment]:
        """Assignments of which something can start now."""
        ...

    def wanted(self, waiting: int) -> int:
        """How many more messages to ask the broker for while *waiting* handlers wait for something."""
        ...

    def without_room(self, capacity: int) -> AbstractSet[Assignment]:
        """Assignments of which nothing is fetched now, so that the batches of others fit into *capacity* messages."""
        ...

    def cut_off(self, sources: frozenset[TopicPartition]) -> int:
        """Nothing more comes from *sources* for now. Returns how many batches can start because of that."""
        ...

    def ran_dry(self, sources: Collection[TopicPartition]) -> None:
        """A fetch that had room for more brought no record of *sources*."""
        ...
