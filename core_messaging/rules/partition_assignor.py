"""Which member of a group gets which partition, by the cooperative protocol of Kafka (KIP-429).

A partition stays where it is unless a move makes the group more even. A partition that moves takes two rounds: in the
first round its owner loses it and nobody gets it; the owner gives it up and joins again, and then its new owner gets it.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core_messaging.records import TopicPartition

Owners = dict[TopicPartition, str]
Shares = dict[str, list[TopicPartition]]


@dataclass(frozen=True, slots=True)
class GroupMember:
    """What one member says when it joins: what it reads, and what it owned in *generation*, its last one."""

    topics: frozenset[str]
    owned: tuple[TopicPartition, ...] = ()
    generation: int = -1


def assign_partitions(members: Mapping[str, GroupMember], counts: Mapping[str, int]) -> Shares:
    """The partitions of each of *members* in the next generation; *counts*: how many partitions each topic has.

    Nothing goes to a member while another member says that it owns it.
    """
    claims = _claims(members)
    owners = {source: owner for source, of in claims.items() if (owner := _newest(of))}
    target = _Target(members, counts)
    for source, owner in sorted(owners.items()):
        target.keep(source, owner)
    target.fill()
    target.even_out()
    shares: Shares = {name: [] for name in members}
    for source, name in sorted(target.owners.items()):
        if owners.get(source) == name or source not in claims:
            shares[name].append(source)
    return shares


def _claims(members: Mapping[str, GroupMember]) -> dict[TopicPartition, dict[str, int]]:
    """Partition -> the members that say they own it, with the generation in which each of them did."""
    claims: dict[TopicPartition, dict[str, int]] = defaultdict(dict)
    for name, member in members.items():
        for source in member.owned:
            claims[source][name] = member.generation
    return dict(claims)


def _newest(claims: Mapping[str, int]) -> str | None:
    """The member that owned it last. None where two say so: both have to give it up first."""
    newest = max(claims.values())
    found = [name for name, generation in claims.items() if generation == newest]
    return found[0] if len(found) == 1 else None


class _Target:
    """The even distribution that the rounds lead to."""

    def __init__(self, members: Mapping[str, GroupMember], counts: Mapping[str, int]) -> None:
        self.owners: Owners = {}
        self._kept: set[TopicPartition] = set()
        self._shares: dict[str, set[TopicPartition]] = {name: set() for name in members}
        self._by_topic: Counter[tuple[str, str]] = Counter()  # (member, topic) -> partitions
        self._readers = {
            topic: {name for name, member in members.items() if topic in member.topics} for topic in counts
        }
        self._sources = [
            TopicPartition(topic, number)
            for topic, count in sorted(counts.items())
            for number in range(count)
            if self._readers[topic]
        ]
        self._known = frozenset(self._sources)

    def keep(self, source: TopicPartition, owner: str) -> None:
        """Unless the partition is gone, or *owner* does not read its topic any more."""
        if source in self._known and owner in self._readers[source.topic]:
            self._kept.add(source)
            self._give(source, owner)

    def fill(self) -> None:
        """Give what nobody has to whoever has the fewest, and the fewest of its topic among those."""
        for source in self._sources:
            if source not in self.owners:
                self._give(
                    source, min(self._readers[source.topic], key=lambda name: self._load(name, source))
                )

    def even_out(self) -> None:
        """Move partitions until the loads are as even as they can be: first those that nobody keeps, then the others.

        So the second round of a move, in which nobody has what moves, finds an even distribution without another move: the
        one that the first round led to is such a distribution.
        """
        for with_kept in (False, True):
            while path := self._path_to_fewer(with_kept=with_kept):
                for source, taker in path:
                    self._take_away(source)
                    self._give(source, taker)

    def _take_away(self, source: TopicPartition) -> None:
        giver = self.owners[source]
        self._kept.discard(source)
        self._shares[giver].discard(source)
        self._by_topic[giver, source.topic] -= 1

    def _give(self, source: TopicPartition, name: str) -> None:
        self.owners[source] = name
        self._shares[name].add(source)
        self._by_topic[name, source.topic] += 1

    def _load(self, name: str, source: TopicPartition) -> tuple[int, int, str]:
        return len(self._shares[name]), self._by_topic[name, source.topic], name

    def _path_to_fewer(self, *, with_kept: bool) -> list[tuple[TopicPartition, str]]:
        """Moves, each to the member named, that leave one member with one less and one with one more; none if there are none.

        The first of the two has at least two more than the other. Mostly it is one move. Where the one cannot take what the
        other has, each move makes room for the one before.
        """
        by_load = sorted(self._shares, key=lambda name: (len(self._shares[name]), name))
        for giver in reversed(by_load):
            enough = len(self._shares[giver]) - 2
            if len(self._shares[by_load[0]]) > enough:
                break
            if path := self._path_from(giver, by_load, enough, with_kept=with_kept):
                return path
        return []

    def _path_from(
        self, giver: str, by_load: list[str], enough: int, *, with_kept: bool
    ) -> list[tuple[TopicPartition, str]]:
        """The shortest path of moves from *giver* to a member with at most *enough* partitions (breadth first)."""
        paths: dict[str, list[tuple[TopicPartition, str]]] = {giver: []}
        waiting = deque([giver])
        while waiting:
            name = waiting.popleft()
            mine = [source for source in self._shares[name] if with_kept or source not in self._kept]
            for taker in by_load:
                if taker in paths or not (movable := [s for s in mine if taker in self._readers[s.topic]]):
                    continue
                paths[taker] = [*paths[name], (self._least_missed(movable, name, taker), taker)]
                if len(self._shares[taker]) <= enough:
                    return paths[taker]
                waiting.append(taker)
        return []

    def _least_missed(self, movable: Iterable[TopicPartition], giver: str, taker: str) -> TopicPartition:
        """One that the giver does not have yet, else of the topic of which it has the most more than the taker."""

        def missed(source: TopicPartition) -> tuple[bool, int, TopicPartition]:
            surplus = self._by_topic[giver, source.topic] - self._by_topic[taker, source.topic]
            return source in self._kept, -surplus, source

        return min(movable, key=missed)
