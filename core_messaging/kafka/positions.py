"""Sets where a member reads on in its partitions.

It reads on at the commit. A partition without a commit starts at its beginning or its end. Where retention has removed the
position, it reads on at the first record that is left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.structs import TopicPartition as ClientPartition

from core_messaging.errors import MessagesGone
from core_messaging.records import Beginning, Committed, TopicPartition
from core_messaging.rules.commit_metadata import CommitNote, Ownership, Run, read
from core_messaging.rules.start_position import (
    OffsetReset,
    began_with,
    beginning_of,
    gone_text,
    reset_of,
    what_is_gone,
)

logger = logging.getLogger("core_messaging.kafka")

Commits = dict[TopicPartition, Committed]
OFFSETS_TIMEOUT = 10.0  # seconds the broker has to tell where a partition begins and ends


class KafkaPositions:
    """The positions of one client, for as long as it is a member of the group.

    The client itself resets no position (``auto_offset_reset`` is "none"). With ``latest`` it would go to the end wherever
    the group has no commit yet, or where its position is gone, and skip records that it has never read.
    """

    def __init__(self, client: Any, reset: OffsetReset, made_anew: set[str] | None = None) -> None:
        """*made_anew*: topics that were deleted while this process read them. This object adds those that it hears of."""
        self._client = client
        self._first_topics: frozenset[str] | None = None  # of a pattern
        self._made_anew: set[str] = set() if made_anew is None else made_anew
        self._reset = reset
        self._finished: dict[TopicPartition, list[Run]] = {}  # offsets that the commits name as finished
        self._begun: dict[TopicPartition, Beginning] = {}

    def begin_with(self, topics: Iterable[str]) -> None:
        """Read topics other than *topics* from their first record, whatever the reset is: the pattern matched them later."""
        self._first_topics = frozenset(topics)

    def forget_topic(self, topic: str) -> None:
        """Read *topic* from its first record when it is there again: it is another topic then."""
        self._made_anew.add(topic)

    async def start(self, partitions: Iterable[Any]) -> dict[TopicPartition, Committed | None]:
        """Set the client's position in *partitions*, which were just assigned. Return the commit of each.

        A partition that starts at its end has a Beginning as its commit: later, no one else can tell where its end was.
        None: the partition starts at its first record. A partition without a leader starts later, when the client finds
        that it has no position.

        Raises KafkaError.
        """
        mine = [ClientPartition(*source) for source in partitions]
        found = await self._commits(mine)
        self._finished |= {s: read(commit).note.finished(commit.offset) for s, commit in found.items()}
        new = [source for source in mine if source not in found and self._has_leader(source)]
        commits: dict[TopicPartition, Committed | None] = {_ours(s): found.get(_ours(s)) for s in mine}
        for source in mine:
            if source in found:
                self._client.seek(source, found[_ours(source)].offset)
        commits.update(await self._begin(new, found))
        return commits

    async def _commits(self, mine: Sequence[Any]) -> Commits:
        """Ask for the commits of *mine*; with ``latest``, also for those of all other partitions of the topics.

        With ``latest``, it matters whether the group has committed anything at all.
        """
        asked = set(mine)
        if self._reset == "latest":
            counts = self._partition_counts().items()
            asked.update(ClientPartition(topic, number) for topic, n in counts for number in range(n))
        # The public committed() hides the metadata.
        found = await self._client._coordinator.fetch_committed_offsets(list(asked))  # noqa: SLF001
        return {_ours(s): Committed(c.offset, c.metadata or "") for s, c in found.items() if c.offset >= 0}

    async def _begin(self, new: Sequence[Any], found: Commits) -> Mapping[TopicPartition, Beginning]:
        """Set the position in *new*, which have no commit. Return those that start at their end."""
        if not new:
            return {}
        began = beginning_of(found.values()) if found else began_with(self._partition_counts())
        at_end = [s for s in new if self._reset_of(_ours(s), found, began) == "latest"]
        offsets = await self._client.beginning_offsets([s for s in new if s not in at_end])
        for source, offset in offsets.items():
            self._client.seek(source, offset)
        note = CommitNote.of(0, (), {}, Ownership(), began=began).encode()
        begun = await self._client.end_offsets([s for s in at_end if _ours(s) not in self._begun])
        self._begun |= {_ours(source): Beginning(offset, note) for source, offset in begun.items()}
        for source in at_end:
            self._client.seek(source, self._begun[_ours(source)].offset)
        return {_ours(source): self._begun[_ours(source)] for source in at_end}

    def _reset_of(self, source: TopicPartition, found: Commits, began: Mapping[int, int]) -> OffsetReset:
        if self._reset != "latest" or source in self._begun:
            return self._reset
        first = self._first_topics
        later = source.topic in self._made_anew or (first is not None and source.topic not in first)
        reset = "earliest" if later else reset_of(source, has_commits=bool(found), began=began)
        if reset == "earliest":
            logger.info(
                "%s was added after its group started, so it is read from its first record",
                source,
                extra={"action": "partition added", **source._asdict()},
            )
        return reset

    async def recover(self, error: kafka_errors.KafkaError) -> bool:
        """Set the position of a partition that has no valid one, as *error* of a fetch says.

        Return False if *error* says something else. Raises KafkaError, and TimeoutError after 10 seconds.
        """
        async with asyncio.timeout(OFFSETS_TIMEOUT):
            if isinstance(error, kafka_errors.OffsetOutOfRangeError):
                for source, position in error.args[0].items():
                    await self._seek_to_first_left(source, position)
                return True
            if isinstance(error, kafka_errors.NoOffsetForPartitionError):
                await self._start_late(error.args[0])
                return True
        return False

    async def _start_late(self, source: Any) -> None:
        """Set the position of a partition that had no leader when it was assigned.

        A partition that is being assigned just now is paused: ``start`` sets its position.
        """
        if self._has_no_position(source) and self._has_leader(source):
            await self.start([source])

    async def _seek_to_first_left(self, source: Any, position: int) -> None:
        """Go to the first record that is left, and log how many are gone, where *position* is out of range.

        Raises MessagesGone where the worker is to stop instead.
        """
        begin = (await self._client.beginning_offsets([source]))[source]
        end = (await self._client.end_offsets([source]))[source]
        if source not in self._client.assignment() or begin <= position <= end:
            return
        facts = (_ours(source), position, begin, end, self._finished.get(_ours(source), []))
        if self._reset == "stop":
            raise MessagesGone(what_is_gone(*facts))
        logger.error(
            "%s",
            gone_text(*facts),
            extra={"action": "messages gone", **source._asdict(), "offset": position, "next_offset": begin},
        )
        self._client.seek(source, begin)

    def _has_no_position(self, source: Any) -> bool:
        state = self._state(source)
        return state is not None and not state.has_valid_position and not state.paused

    def known(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset at which the client reads on, for those of *sources* where it has a position."""
        states = {source: self._state(source) for source in sources}
        return {source: s.position for source, s in states.items() if s is not None and s.has_valid_position}

    def _state(self, source: Any) -> Any:
        subscription = self._client._subscription.subscription  # noqa: SLF001 - the client's own position() may wait for ever
        assignment = None if subscription is None else subscription.assignment
        return None if assignment is None else assignment.state_value(source)

    def _partition_counts(self) -> dict[str, int]:
        cluster = self._client._client.cluster  # noqa: SLF001 - the client has no public access to it
        return {
            topic: len(cluster.partitions_for_topic(topic) or ()) for topic in self._client.subscription()
        }

    def _has_leader(self, source: Any) -> bool:
        leader = self._client._client.cluster.leader_for_partition(source)  # noqa: SLF001
        return leader not in (None, -1)


def _ours(source: Any) -> TopicPartition:
    """Return the client's named tuple as our own type."""
    return TopicPartition(*source)
