"""Records what happens in a simulation, and checks that no guarantee is broken. Knows no clock and no task."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from core_messaging.options import Ordering
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote
from core_messaging.rules.lanes import LANE_OF

Place = tuple[TopicPartition, int]  # the partition and the offset of a message


class History:
    """The starts, finishes and commits of one worker's messages. Each is checked when it is added.

    A message is settled if it is finished (and its result, if it has one, is stored), if it is stored in the dead-letter
    queue, or if it is skipped by a worker that has no such queue.
    """

    def __init__(self, ordering: Ordering) -> None:
        self._lane_of = LANE_OF[ordering]
        self._lanes: dict[tuple[TopicPartition, Hashable], list[int]] = defaultdict(list)
        self._lane_at: dict[Place, Hashable] = {}
        self.sent: set[Place] = set()
        self.finished: set[Place] = set()
        self.returned: Counter[Place] = Counter()
        self.dead_lettered: Counter[Place] = Counter()
        self.skipped: Counter[Place] = Counter()
        self.violations: list[str] = []
        self.trace: list[str] = []

    def send(self, record: Record) -> None:
        """Add *record*, which is stored in the input topic."""
        source = TopicPartition(record.topic, record.partition)
        self.sent.add((source, record.offset))
        lane = self._lane_of(record)
        if lane is not None:
            self._lane_at[source, record.offset] = lane
            self._lanes[source, lane].append(record.offset)

    def start(self, now: float, who: str, places: Sequence[Place]) -> None:
        """Add the start of an attempt of one message or of a batch. Earlier messages of its lane must be settled."""
        for source, offset in places:
            self.trace.append(f"{now:.3f} {who} starts {source}@{offset}")
            earlier = self._first_unsettled(source, offset, frozenset(places))
            if earlier is not None:
                self._violation(f"{source}@{offset} started before {earlier} of the same lane was settled")

    def _first_unsettled(self, source: TopicPartition, offset: int, together: frozenset[Place]) -> int | None:
        """Return the first offset before *offset* in its lane that is neither settled nor in the same batch."""
        lane = self._lanes.get((source, self._lane_at.get((source, offset))), ())
        before = itertools.takewhile(lambda other: other < offset, lane)
        return next(
            (o for o in before if not self.settled((source, o)) and (source, o) not in together), None
        )

    def finish(self, now: float, who: str, place: Place) -> None:
        """Add an attempt that returned without a result to store."""
        self.trace.append(f"{now:.3f} {who} finishes {place[0]}@{place[1]}")
        self.returned[place] += 1
        self.finished.add(place)

    def answer(self, now: float, who: str, place: Place) -> None:
        """Add an attempt that returned a result. The result is not stored yet."""
        self.trace.append(f"{now:.3f} {who} has a result of {place[0]}@{place[1]}")
        self.returned[place] += 1

    def store(self, now: float, place: Place) -> None:
        """Add that a result of the message is stored."""
        self.trace.append(f"{now:.3f} {place[0]}@{place[1]} finishes, its result is stored")
        self.finished.add(place)

    def dead_letter(self, now: float, source: TopicPartition, offset: int) -> None:
        """Add that a dead letter of the message is stored."""
        self.trace.append(f"{now:.3f} {source}@{offset} is dead-lettered")
        self.dead_lettered[source, offset] += 1

    def skip(self, now: float, who: str, place: Place) -> None:
        """Add that the message has failed for good, and the worker skips it."""
        self.trace.append(f"{now:.3f} {who} skips {place[0]}@{place[1]}")
        self.skipped[place] += 1

    def commit(self, now: float, who: str, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Add the commits that process *who* asks for. They must not cover a message that is not settled."""
        for source, commit in sorted(offsets.items()):
            self.trace.append(f"{now:.3f} {who} commits {source}@{commit.offset}")
            runs = CommitNote.decode(commit.metadata).finished(commit.offset)
            for place in self._covered(source, commit.offset, runs):
                if not self.settled(place):
                    self._violation(f"{source}@{place[1]} was committed by {who} before it was settled")

    def _covered(self, source: TopicPartition, offset: int, runs: list[tuple[int, int]]) -> list[Place]:
        beyond = {at for first, last in runs for at in range(first, last + 1)}
        return [p for p in self.sent if p[0] == source and (p[1] < offset or p[1] in beyond)]

    def settled(self, place: Place) -> bool:
        """Whether the message is settled."""
        return place in self.finished or place in self.dead_lettered or place in self.skipped

    def lost(self) -> list[Place]:
        """Return the messages that are not settled, sorted."""
        return sorted(place for place in self.sent if not self.settled(place))

    def repeated(self) -> int:
        """Return how many times a handler returned, or a message was given up, after the first time."""
        together = self.returned + self.dead_lettered + self.skipped
        return sum(count - 1 for count in together.values())

    def _violation(self, what: str) -> None:
        self.trace.append(f"!!! {what}")
        self.violations.append(what)
