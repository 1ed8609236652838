"""What a replay or a drop does with each letter: whether it is taken, and what goes where. Pure.

A survey reads the queue once and finds the keys that are taken whole. A plan then decides letter by letter, in the order
of the queue. The same plan counts (a dry run) and is carried out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from core_messaging.partitioner import partition_of
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.rules.blocked_keys import CLEAR, HEADER, REPLAY
from core_messaging.rules.dead_letter import REPLAYS, without_core_headers
from core_messaging.rules.letter_ledger import Ledger, Settled
from core_messaging.rules.letter_selection import Selection
from core_messaging.rules.letters import FOLLOWS, Letter, number


class KeyOfGroup(NamedTuple):
    """A key of a worker with ``on_dead_letter = "follow"``, which has its letters replayed together."""

    group: str
    topic: str
    key: bytes


class Reason(Enum):
    """Why a letter stays where it is."""

    NOT_SELECTED = "not selected"
    DEALT_WITH = "dealt with already"
    NO_ORIGIN = "does not say where it came from"
    TOPIC_GONE = "its original topic does not exist"


@dataclass(frozen=True, slots=True)
class Taken:
    """A letter that is replayed or dropped. ``outgoing``: what is published for it; None where nothing is."""

    letter: Letter
    outgoing: Outgoing | None


@dataclass(slots=True)
class Survey:
    """One look at all letters. ``following``: groups that are known to take keys whole."""

    selection: Selection
    ledger: Ledger
    following: Collection[str]
    again: bool = False
    found: set[str] = field(default_factory=set)  # groups whose letters show that their keys follow
    keys: set[KeyOfGroup] = field(default_factory=set)

    def add(self, letter: Letter) -> bool:
        """Take *letter* in; whether it is selected and open."""
        if letter.error_type == FOLLOWS:
            self.found.add(letter.text("group"))
        if not (self.selection.matches(letter) and (self.again or self.ledger.state_of(letter) == "open")):
            return False
        if (key := key_of_group(letter)) is not None and key.group in self.following:
            self.keys.add(key)
        return True

    @property
    def is_complete(self) -> bool:
        """False: a group takes keys whole, and was not known to do so. Look again with ``groups``."""
        return self.found <= set(self.following)

    @property
    def groups(self) -> frozenset[str]:
        """All groups that are found or follow."""
        return frozenset(self.found) | frozenset(self.following)


def key_of_group(letter: Letter) -> KeyOfGroup | None:
    """Return what *letter* follows, or is followed by; None where it has no key or no origin."""
    key = letter.record.key
    if key is None or not letter.is_ours:
        return None
    return KeyOfGroup(letter.text("group"), letter.text("original-topic"), key)


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks for. ``to``: another topic than the original one. ``again``: also what is dealt with already."""

    selection: Selection
    state: Settled = "replayed"
    to: str | None = None
    again: bool = False


class Plan:
    """Decides, letter by letter.

    *keys* are taken whole. *partitions*: how many each topic has that there is. *is_counted*: whether somebody was
    told of a letter; others are taken only with their key.
    """

    def __init__(
        self,
        order: Order,
        ledger: Ledger,
        keys: Collection[KeyOfGroup],
        partitions: Mapping[str, int],
        is_counted: Callable[[Letter], bool] = lambda _letter: True,
    ) -> None:
        self._order = order
        self._before = Ledger() if order.again else ledger
        self._now = Ledger()  # a letter may be in the queue twice
        self._keys = keys
        self._partitions = partitions
        self._is_counted = is_counted
        self._lifted: set[KeyOfGroup] = set()
        self.left: Counter[Reason] = Counter()
        self.places: Counter[TopicPartition] = Counter()  # where letters go
        self.missing: Counter[str] = Counter()  # original topics that do not exist
        self.moved = 0  # letters whose original partition does not exist
        self.followers = 0  # taken because their key is, not because they are selected

    @property
    def taken(self) -> int:
        """How many letters are replayed or dropped by now."""
        return self._now.size

    @property
    def targets(self) -> Counter[str]:
        """How many letters go to each topic."""
        found: Counter[str] = Counter()
        for place, count in self.places.items():
            found[place.topic] += count
        return found

    def decide(self, letter: Letter) -> Taken | None:
        """What is done with *letter*. None: nothing."""
        reason = self._why_left(letter)
        if reason is not None:
            self.left[reason] += 1
            return None
        taken = Taken(letter, self._outgoing(letter))
        self._now.note(letter, self._order.state)
        if taken.outgoing is not None:
            self.places[TopicPartition(taken.outgoing.topic, taken.outgoing.partition or 0)] += 1
        return taken

    def _why_left(self, letter: Letter) -> Reason | None:
        selected = self._order.selection.matches(letter) and self._is_counted(letter)
        if not selected and (not self._keys or key_of_group(letter) not in self._keys):
            return Reason.NOT_SELECTED
        if self._before.state_of(letter) != "open" or self._now.state_of(letter) != "open":
            return Reason.DEALT_WITH
        reason = self._why_without_target(letter) if self._order.state == "replayed" else None
        if reason is None and not selected:
            self.followers += 1
        return reason

    def _why_without_target(self, letter: Letter) -> Reason | None:
        if self._order.to is not None:
            return None
        origin = letter.origin
        if origin is None:
            return Reason.NO_ORIGIN
        if origin.topic not in self._partitions:
            self.missing[origin.topic] += 1
            return Reason.TOPIC_GONE
        return None

    def _outgoing(self, letter: Letter) -> Outgoing | None:
        lifts = self._lifts(letter)
        if self._order.state == "dropped":
            return replayed(letter, self._target(letter), CLEAR) if lifts else None
        return replayed(letter, self._target(letter), REPLAY if lifts else None)

    def _lifts(self, letter: Letter) -> bool:
        """Whether *letter* is the first of a key that takes its letters with it.

        Elsewhere than at its topic nobody would see it.
        """
        key = key_of_group(letter)
        if key is None or key not in self._keys or key in self._lifted or self._order.to is not None:
            return False
        if key.topic not in self._partitions:  # a drop of what has no topic any more
            return False
        self._lifted.add(key)
        return True

    def _target(self, letter: Letter) -> TopicPartition:
        origin = letter.origin
        if self._order.to is None and origin is not None:
            count = self._partitions[origin.topic]
            if origin.partition < count:
                return TopicPartition(origin.topic, origin.partition)
            self.moved += 1
            return TopicPartition(origin.topic, _partition_for(letter, count, origin.partition))
        topic = self._order.to or ""
        return TopicPartition(topic, _partition_for(letter, self._partitions[topic], letter.record.partition))


def _partition_for(letter: Letter, count: int, partition: int) -> int:
    """The partition of *letter* among *count*: by its key. Letters without a key that were together stay together."""
    key = letter.record.key
    return partition % count if key is None else partition_of(key, count)


def replayed(letter: Letter, target: TopicPartition, word: bytes | None = None) -> Outgoing:
    """*letter* as its first producer wrote it, with the number of its replays. *word* lifts the block of its key."""
    record = letter.record
    kept = tuple(pair for pair in without_core_headers(record.headers) if pair[0] != REPLAYS)
    replays = (number(letter.headers.get(REPLAYS)) or 0) + 1
    added = ((REPLAYS, b"%d" % replays),) + (() if word is None else ((HEADER, word),))
    return Outgoing(target.topic, record.value, record.key, kept + added, target.partition, forwarded=True)


def turn_of(letter: Letter) -> tuple[float, int]:
    """Letters of several partitions are taken by this; those of one partition keep their order whatever it says."""
    origin = letter.origin
    return letter.failed_at, letter.record.offset if origin is None else origin.offset
