"""Consumer groups of the in-memory broker and their members."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Context
from typing import TypeVar

from core_messaging.broker import Assigned, Revoked
from core_messaging.errors import BrokerError, CommitRefused
from core_messaging.memory_broker.faults import Faults
from core_messaging.memory_broker.log import Log
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.commit_metadata import Run, read
from core_messaging.rules.flow_control import share_out
from core_messaging.rules.start_position import OffsetReset, gone_text

logger = logging.getLogger("core_messaging.memory")

Result = TypeVar("Result")


class Group:
    """The members of one group, their partitions and their commits.

    The rebalance protocol is eager: all members give up all their partitions, and only then are partitions assigned. So a
    member that takes long to give up its partitions makes all others wait.
    """

    def __init__(self, log: Log, reset: OffsetReset = "earliest") -> None:
        self._log = log
        self._reset = reset
        self._begins: dict[TopicPartition, int] = {}  # by partition: the offset where this group starts
        self.members: list[MemoryConsumer] = []  # in the order they joined
        self.commits: dict[TopicPartition, Committed] = {}
        self.generation = 0
        self._changed = False
        self._running: asyncio.Task[None] | None = None

    def join(self, member: MemoryConsumer) -> None:
        """Add *member* and start a rebalance."""
        # A member whose event loop is closed has died without leaving. Its session has expired by now.
        self.members = [other for other in self.members if not other.loop.is_closed()]
        self.members.append(member)
        self.rebalance()

    def leave(self, member: MemoryConsumer) -> None:
        """Remove *member* and start a rebalance; safe to repeat."""
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        """Start a rebalance, or let the running one begin again because members or topics have changed."""
        self._changed = True
        running = self._running
        if running is not None and not running.done() and not running.get_loop().is_closed():
            return
        loops = [member.loop for member in self.members if not member.loop.is_closed()]
        if loops:
            # An empty context: the rebalance belongs to no member, and goes on without the member that caused it.
            self._running = loops[0].create_task(self._rebalance(), context=Context())

    async def _rebalance(self) -> None:
        while self._changed and self.members:
            self._changed = False
            await asyncio.wait([member.give_up_partitions() for member in self.members])
            # If a member joined or left meanwhile, all give up their partitions once more. A new member has none, so this
            # takes a short time.
            if not self._changed:
                self._assign()

    def _assign(self) -> None:
        self.generation += 1
        shares = self._shares()
        self._begin(source for share in shares.values() for source in share)
        for member in tuple(self.members):
            commits = {source: self.commits.get(source) for source in shares[member]}
            member.receive_partitions(self.generation, commits)

    def _begin(self, sources: Iterable[TopicPartition]) -> None:
        """Note where the group starts in new partitions.

        A partition that is created after the group has started is read from its first record: its records were written for
        this group too.
        """
        at_end = self._reset == "latest" and not self._begins and not self.commits
        for source in sources:
            if source not in self._begins:
                self._begins[source] = self._log.end(source) if at_end else self._log.begin(source)

    def start_of(self, source: TopicPartition, commit: Committed | None) -> int:
        """Return the offset that a new owner of *source* reads first."""
        return self._begins[source] if commit is None else commit.offset

    def _shares(self) -> dict[MemoryConsumer, list[TopicPartition]]:
        """Give each partition to the subscribed member with the fewest; of several, to the one that joined first."""
        shares: dict[MemoryConsumer, list[TopicPartition]] = {member: [] for member in self.members}
        for source in self._log.sources(topic for member in self.members for topic in member.topics):
            able = [member for member in self.members if source.topic in member.topics]
            shares[min(able, key=lambda member: len(shares[member]))].append(source)
        return shares


class MemoryConsumer:
    """One member of a group. It belongs to the event loop that it was started on."""

    def __init__(self, topics: tuple[str, ...], group: Group, log: Log, faults: Faults) -> None:
        self.topics = topics
        self._group, self._log, self._faults = group, log, faults
        self._generation: int | None = None  # None: not in the group, or its partitions are given up
        # By partition: the next offset to read. The partition that was not read for the longest time comes first.
        self._positions: dict[TopicPartition, int] = {}
        self._finished: dict[TopicPartition, list[Run]] = {}  # offsets that the commits name as finished
        self._paused: set[TopicPartition] = set()
        self._waiting: set[asyncio.Future[bool]] = set()
        self._revocation: asyncio.Task[None] | None = None
        self._failure: BrokerError | None = None  # raised by every later fetch
        # Not None: the process of this member is dead. Done: its session has expired, and the group knows that.
        self._session_end: asyncio.Future[None] | None = None

    async def start(self, assigned: Assigned, revoked: Revoked) -> None:
        """Ask to join the group; ``assigned`` is called when the group has assigned partitions.

        Raises BrokerUnreachable.
        """
        self._faults.check_reachable()
        self.loop = asyncio.get_running_loop()
        self._assigned, self._revoked = assigned, revoked
        for topic in self.topics:
            self._log.ensure(topic)
        self._group.join(self)

    async def fetch(self, limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return at most *limit* records by partition; wait at most *wait* seconds for the first. Raises BrokerError."""
        deadline = asyncio.get_running_loop().time() + wait
        # Other tasks run here. Else a caller that always finds records never lets them run.
        await asyncio.sleep(0)
        self._check_fetch()
        # No await between taking and returning: records that were taken cannot be revoked before the caller has them, and
        # a fetch that is cancelled while it waits has taken none.
        while not (found := self._take(limit)) and await self._wait_for_wake(deadline):
            self._check_usable()
        return found

    def _check_fetch(self) -> None:
        self._check_usable()
        try:
            self._faults.check_fetch()
        except BrokerError as error:
            self._failure = error
            raise

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self not in self._group.members:
            raise BrokerError("this member is not in its group, or not any more; open another member")

    def _take(self, limit: int) -> dict[TopicPartition, Sequence[Record]]:
        taken = share_out(
            [source for source in self._positions if source not in self._paused], limit, self._read
        )
        return dict(taken)

    def _read(self, source: TopicPartition, limit: int) -> Sequence[Record]:
        position = self._valid_position(source, self._positions[source])
        records = self._log.read(source, position, limit)
        if records:
            # It goes to the end: the next fetch starts with another partition, so each gets its turn.
            del self._positions[source]
            self._positions[source] = position + len(records)
        return records

    def _valid_position(self, source: TopicPartition, position: int) -> int:
        """Return *position*; where it is out of range, log that and return the offset of the first record that is left."""
        begin, end = self._log.begin(source), self._log.end(source)
        if begin <= position <= end:
            return position
        logger.error("%s", gone_text(source, position, begin, end, self._finished.get(source, [])))
        self._positions[source] = begin
        return begin

    async def _wait_for_wake(self, deadline: float) -> bool:
        """Wait until ``wake`` or until *deadline* (time of the event loop). Return False at the deadline."""
        if self.loop.time() >= deadline:
            return False
        waiting: asyncio.Future[bool] = self.loop.create_future()
        timer = self.loop.call_at(deadline, _settle, waiting, False)  # noqa: FBT003 - the future's result
        self._waiting.add(waiting)
        try:
            return await waiting
        finally:
            timer.cancel()
            self._waiting.discard(waiting)

    def wake(self) -> None:
        """Let waiting fetches look for records again."""
        for waiting in self._waiting:
            _settle(waiting, True)  # noqa: FBT003 - the future's result

    async def keep_alive(self) -> None:
        """Do nothing: this group does not remove a slow member. Raises BrokerError where a fetch would."""
        self._check_usable()

    def pause(self, sources: Sequence[TopicPartition]) -> None:
        """Let ``fetch`` return no records of *sources* until they are resumed."""
        self._paused.update(self._positions.keys() & set(sources))

    def resume(self, sources: Sequence[TopicPartition]) -> None:
        """Let ``fetch`` return records of *sources* again."""
        self._paused.difference_update(sources)
        self.wake()

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit all *offsets*, or none if one of them is refused.

        Raises CommitRefused for a partition that this member does not have, BrokerError where ``fail_commits`` is set.
        """
        self._faults.check_commit()
        if self._generation != self._group.generation:
            raise CommitRefused("this member is not in the current generation of its group")
        unassigned = [str(source) for source in offsets if source not in self._positions]
        if unassigned:
            raise CommitRefused(f"{', '.join(unassigned)} is not assigned to this member")
        # The caller may use another kind of named tuple as key; the group keeps TopicPartition.
        self._group.commits.update({TopicPartition(*source): commit for source, commit in offsets.items()})

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset that the next record of each partition will get. Raises TopicMissing."""
        return {source: self._log.end(source) for source in sources}

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset at which ``fetch`` goes on, for those of *sources* that this member has."""
        return {source: self._positions[source] for source in sources if source in self._positions}

    async def close(self) -> None:
        """Leave the group. Where this member is giving up its partitions just now, wait until that is done."""
        # The member leaves before it waits. Else a rebalance that ends at the same moment assigns partitions to it. The
        # rebalance still waits for the callback, and commits in the callback count: the generation decides about them.
        self._group.leave(self)
        self.wake()
        running = self._revocation
        try:
            # The callback itself may close this member. Then this task must not wait for itself.
            if running is not None and not running.done() and running is not asyncio.current_task():
                await asyncio.wait([running])
        finally:
            self._forget()

    def vanish(self, session_timeout: float) -> None:
        """Let the process of this member be dead: it answers nothing, and the group notices after *session_timeout* seconds."""
        if self not in self._group.members:
            return
        self._session_end = self.loop.create_future()
        self.loop.call_later(session_timeout, self._expire, self._session_end)

    def _expire(self, session_end: asyncio.Future[None]) -> None:
        _settle(session_end, None)
        self._forget()
        self._group.leave(self)

    def expel(self) -> None:
        """Let the group take this member for dead while it lives: its commits are refused, its next fetch raises."""
        self._generation = None
        self._group.leave(self)
        self.wake()

    def owns(self, source: TopicPartition) -> bool:
        """Whether *source* is assigned to this member."""
        return source in self._positions

    def give_up_partitions(self) -> asyncio.Task[None]:
        """Give up all partitions; called by the group.

        The task never fails. An error of the callback is raised by the next fetch.
        """
        self._revocation = asyncio.get_running_loop().create_task(self._give_up_partitions())
        return self._revocation

    async def _give_up_partitions(self) -> None:
        if self._session_end is not None:
            await self._session_end
            return
        leaving = frozenset(self._positions)
        # The partitions are owned while the callback runs, so its commits count. They are paused, so no record is returned.
        self._paused.update(leaving)
        try:
            if leaving:
                await self._revoked(leaving)
        except Exception as error:
            self._fail(error)
        finally:
            self._forget()

    def receive_partitions(self, generation: int, commits: Mapping[TopicPartition, Committed | None]) -> None:
        """Take the assigned partitions, each with its commit; called by the group when no member has partitions any more."""
        if self._session_end is not None:
            return
        self._generation = generation
        self._positions = {s: self._group.start_of(s, commit) for s, commit in commits.items()}
        self._finished = {s: read(c).note.finished(c.offset) for s, c in commits.items() if c is not None}
        try:
            self._assigned(commits)
        except Exception as error:
            self._fail(error)
        self.wake()

    def _forget(self) -> None:
        self._generation = None
        self._positions, self._paused = {}, set()

    def _fail(self, error: Exception) -> None:
        """Let the next fetch raise *error*. As with Kafka, the group goes on."""
        if isinstance(error, BrokerError):
            self._failure = error
        else:
            self._failure = BrokerError(f"a rebalance failed: {error!r}; open another member")
            self._failure.__cause__ = error
        self.wake()


def _settle(waiting: asyncio.Future[Result], result: Result) -> None:
    if not waiting.done():
        waiting.set_result(result)
