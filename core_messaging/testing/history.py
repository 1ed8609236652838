"""What happened in a simulation, and whether a guarantee was broken by it. Pure: knows no clock and no task."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from core_messaging.options import Ordering
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote
from core_messaging.rules.lanes import LANE_OF

Place = tuple[TopicPartition, int]  # where a message is: its partition and offset


class History:
    """Starts, finishes and commits of one worker's messages, checked as they come.

    *settled*: finished (its result stored, if it has one), stored in the dead-letter queue, or skipped where the worker has none.
    """

    def __init__(self, ordering: Ordering) -> None:
        self._lane_of = LANE_OF[ordering]
        self._lanes: dict[tuple[TopicPartition, Hashable], list[int]] = defaultdict(list)
        self._lane_at: dict[Place, Hashable] = {}
        self.sent: set[Place] = set()
        self.finished: set[Place] = set()
        self.returned: Counter[Place] = Counter()
        self.buried: Counter[Place] = Counter()
        self.skipped: Counter[Place] = Counter()
        self.violations: list[str] = []
        self.trace: list[str] = []

    def send(self, record: Record) -> None:
        """*record* is in the input topic."""
        source = TopicPartition(record.topic, record.partition)
        self.sent.add((source, record.offset))
        lane = self._lane_of(record)
        if lane is not None:
            self._lane_at[source, record.offset] = lane
            self._lanes[source, lane].append(record.offset)

    def start(self, now: float, who: str, places: Sequence[Place]) -> None:
        """An attempt begins: of one message, or of a batch. What comes earlier in a lane must be settled by now."""
        for source, offset in places:
            self.trace.append(f"{now:.3f} {who} starts {source}@{offset}")
            earlier = self._first_unsettled(source, offset, frozenset(places))
            if earlier is not None:
                self._broken(f"{source}@{offset} started before {earlier} of the same lane was settled")

    def _first_unsettled(self, source: TopicPartition, offset: int, together: frozenset[Place]) -> int | None:
        """The first offset before *offset* in its lane that is neither settled nor in the same batch."""
        lane = self._lanes.get((source, self._lane_at.get((source, offset))), ())
        before = itertools.takewhile(lambda other: other < offset, lane)
        return next(
            (o for o in before if not self.settled((source, o)) and (source, o) not in together), None
        )

    def finish(self, now: float, who: str, place: Place) -> None:
        """An attempt returned, and there is nothing to store."""
        self.trace.append(f"{now:.3f} {who} finishes {place[0]}@{place[1]}")
        self.returned[place] += 1
        self.finished.add(place)

    def answer(self, now: float, who: str, place: Place) -> None:
        """An attempt returned a result, which is not stored yet."""
        self.trace.append(f"{now:.3f} {who} has a result of {place[0]}@{place[1]}")
        self.returned[place] += 1

    def store(self, now: float, place: Place) -> None:
        """A result of the message is stored."""
        self.trace.append(f"{now:.3f} {place[0]}@{place[1]} finishes, its result is stored")
        self.finished.add(place)

    def bury(self, now: float, source: TopicPartition, offset: int) -> None:
        """A dead letter of the message is stored."""
        self.trace.append(f"{now:.3f} {source}@{offset} is dead-lettered")
        self.buried[source, offset] += 1

    def skip(self, now: float, who: str, place: Place) -> None:
        """The message has failed for good, and the worker is one that then goes on without it."""
        self.trace.append(f"{now:.3f} {who} skips {place[0]}@{place[1]}")
        self.skipped[place] += 1

    def commit(self, now: float, who: str, offsets: Mapping[TopicPartition, Committed]) -> None:
        """*who* asks for these commits. None may claim what is not settled."""
        for source, commit in sorted(offsets.items()):
            self.trace.append(f"{now:.3f} {who} commits {source}@{commit.offset}")
            runs = CommitNote.decode(commit.metadata).finished(commit.offset)
            for place in self._claimed(source, commit.offset, runs):
                if not self.settled(place):
                    self._broken(f"{source}@{place[1]} was committed by {who} before it was settled")

    def _claimed(self, source: TopicPartition, offset: int, runs: list[tuple[int, int]]) -> list[Place]:
        beyond = {at for first, last in runs for at in range(first, last + 1)}
        return [p for p in self.sent if p[0] == source and (p[1] < offset or p[1] in beyond)]

    def settled(self, place: Place) -> bool:
        return place in self.finished or place in self.buried or place in self.skipped

    def lost(self) -> list[Place]:
        return sorted(place for place in self.sent if not self.settled(place))

    def repeated(self) -> int:
        """How many times a handler returned, or the message was given up, once more than needed."""
        together = self.returned + self.buried + self.skipped
        return sum(count - 1 for count in together.values())

    def _broken(self, what: str) -> None:
        self.trace.append(f"!!! {what}")
        self.violations.append(what)
