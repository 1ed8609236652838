"""Consumer groups of the in-memory broker and their members."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Context
from typing import TypeVar

from core_messaging.broker import Assigned, Lost, Revoked, Subscription
from core_messaging.errors import BrokerError, CommitRefused, MessagesGone
from core_messaging.memory_broker.coordinator import Coordinator
from core_messaging.memory_broker.faults import Faults
from core_messaging.memory_broker.log import Log
from core_messaging.memory_broker.member_topics import MemberTopics
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.commit_metadata import Run, read
from core_messaging.rules.flow_control import share_out
from core_messaging.rules.partition_assignor import GroupMember, assign_partitions
from core_messaging.rules.start_position import OffsetReset, gone_text, what_is_gone

logger = logging.getLogger("core_messaging.memory")

Result = TypeVar("Result")


class Group:
    """The members of one group, their partitions and their commits.

    The rebalance protocol is cooperative: members keep their partitions while the group decides. A partition that moves is
    given up first, and its new owner gets it in the next round. So a member that takes long to give up a partition makes
    only the new owner of this partition wait.
    """

    def __init__(self, log: Log, reset: OffsetReset = "earliest") -> None:
        self._log = log
        self.reset = reset
        self._begins: dict[TopicPartition, int] = {}  # by partition: the offset where this group starts
        self.members: list[MemoryConsumer] = []  # in the order they joined
        self.commits: dict[TopicPartition, Committed] = {}
        self.generation = 0
        self._changed = False
        self._running: asyncio.Task[None] | None = None
        self.coordinator = Coordinator()

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
            # A dead or frozen member does not join. The group waits for it until its session ends.
            silent = [member.session for member in self.members if member.session is not None]
            if awaited := silent + self.coordinator.awaited:
                await asyncio.wait(awaited)
                continue
            self._changed = False
            self._assign()

    def _assign(self) -> None:
        self.generation += 1
        shares = self._shares()
        self._begin(source for share in shares.values() for source in share)
        for member in tuple(self.members):
            share = {source: self.commits.get(source) for source in shares[member]}
            member.receive_partitions(self.generation, share)

    def _begin(self, sources: Iterable[TopicPartition]) -> None:
        """Note where the group starts in new partitions.

        A partition that is created after the group has started is read from its first record: its records were written for
        this group too.
        """
        at_end = self.reset == "latest" and not self._begins and not self.commits
        for source in sources:
            if source not in self._begins:
                self._begins[source] = self._log.end(source) if at_end else self._log.begin(source)

    def start_of(self, source: TopicPartition, commit: Committed | None) -> int:
        """Return the offset that a new owner of *source* reads first."""
        return self._begins[source] if commit is None else commit.offset

    def _shares(self) -> dict[MemoryConsumer, list[TopicPartition]]:
        """By the assignor that members of a group at Kafka use; the member that joined first gets more where not all get equal."""
        counts = Counter(
            s.topic for s in self._log.sources(t for member in self.members for t in member.topics.names)
        )
        names = {f"{number:09}": member for number, member in enumerate(self.members)}
        shares = assign_partitions({name: member.claim() for name, member in names.items()}, counts)
        return {member: shares[name] for name, member in names.items()}


class MemoryConsumer:
    """One member of a group. It belongs to the event loop that it was started on."""

    def __init__(self, subscription: Subscription, group: Group, log: Log, faults: Faults) -> None:
        self.topics = MemberTopics(subscription, log)
        self._group, self._log, self._faults = group, log, faults
        self._generation: int | None = None  # None: not in the group
        self._positions: dict[TopicPartition, int] = {}  # next offset to read; the longest unread comes first
        self._finished: dict[TopicPartition, list[Run]] = {}  # by the commits
        self._paused: set[TopicPartition] = set()
        self._waiting: set[asyncio.Future[bool]] = set()
        self._leaving: dict[asyncio.Task[None], frozenset[TopicPartition]] = {}  # what is being given up
        self._losing: asyncio.Task[None] | None = None
        self._failure: BrokerError | None = None
        self._closed = False
        self.session: asyncio.Future[None] | None = (
            None  # of a dead or frozen process, until the group knows it
        )
        self.memberships = 0  # how many times the member has joined

    async def start(self, assigned: Assigned, revoked: Revoked, lost: Lost) -> None:
        """Ask to join; ``assigned`` follows when the group has decided. Raises BrokerUnreachable."""
        self._faults.check_reachable()
        self.loop = asyncio.get_running_loop()
        self._assigned, self._revoked, self._lost = assigned, revoked, lost
        self.topics.begin()
        self._join()

    def _join(self) -> None:
        self.memberships += 1
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
        if self._closed:
            raise BrokerError("this member is not in its group (any more); open another one")

    def _take(self, limit: int) -> dict[TopicPartition, Sequence[Record]]:
        taken = share_out(
            [s for s in self._positions if s not in self._paused and not self._gives_up(s)], limit, self._read
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
        """Return *position*; where it is out of range, log that and return the offset of the first record that is left.

        Raises MessagesGone where the group is to stop instead.
        """
        begin, end = self._log.begin(source), self._log.end(source)
        if begin <= position <= end:
            return position
        facts = (source, position, begin, end, self._finished.get(source, []))
        if self._group.reset == "stop":
            raise MessagesGone(what_is_gone(*facts))
        logger.error("%s", gone_text(*facts))
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
        self._group.coordinator.check()
        if self._generation is None:
            raise CommitRefused("this member is not in its group")
        unassigned = [str(source) for source in offsets if source not in self._positions]
        if unassigned:
            raise CommitRefused(f"{', '.join(unassigned)} is not assigned to this member")
        # Keys may be the caller's own kind of tuple; what is kept is ours.
        self._group.commits.update({TopicPartition(*source): commit for source, commit in offsets.items()})

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset that the next record of each partition will get. Raises TopicMissing."""
        return {source: self._log.end(source) for source in sources}

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset at which ``fetch`` goes on, for those of *sources* that this member has."""
        return {source: self._positions[source] for source in sources if source in self._positions}

    async def close(self) -> None:
        """Leave the group; where it is giving up partitions just now, that is finished first, and its commits count."""
        self._closed = True
        self.wake()
        try:
            # The callback itself may close the member; waiting for itself it would wait for ever.
            if running := self._leaving.keys() - {asyncio.current_task()}:
                await asyncio.wait(running)
        finally:
            self._group.leave(self)
            self._forget(self._positions)

    def vanish(self, session_timeout: float) -> None:
        """Let the process of this member be dead: it answers nothing, and the group notices after *session_timeout* seconds."""
        if self._closed and self not in self._group.members:
            return
        loop = asyncio.get_running_loop()
        self.session = loop.create_future()
        loop.call_later(session_timeout, self._expire, self.session)

    def _expire(self, session: asyncio.Future[None]) -> None:
        _settle(session, None)
        self._closed = True
        self._forget(self._positions)
        self._group.leave(self)

    def expel(self, unaware: float = 0.0) -> None:
        """Let the group take this member for dead while it lives.

        Its commits are refused. *unaware* seconds later it hears of that, has lost its partitions, and joins again.
        """
        if self not in self._group.members:
            return
        self._generation = None
        self._group.leave(self)
        self._losing = self.loop.create_task(self._lose(unaware))

    async def _lose(self, unaware: float) -> None:
        await asyncio.sleep(unaware)
        for leaving in self._leaving:
            leaving.cancel()
        lost = frozenset(self._positions)
        self._forget(lost)
        if self._closed or self.session is not None:
            return
        try:
            await self._lost(lost)
        except Exception as error:
            self._fail(error)
        if not self._closed and self.session is None:
            self._join()

    def freeze(self, session_timeout: float) -> None:
        """Let the process of this member stand still: it answers nothing until ``thaw``.

        The group takes it for dead after *session_timeout* seconds.
        """
        if self in self._group.members and self.session is None:
            loop = asyncio.get_running_loop()
            self.session = loop.create_future()
            loop.call_later(session_timeout, self._expire_frozen, self.session)

    def _expire_frozen(self, session: asyncio.Future[None]) -> None:
        if not session.done():
            session.set_result(None)
            self._generation = None
            self._group.leave(self)

    def thaw(self) -> None:
        """Let the process go on. If the group has taken it for dead, it has lost its partitions, and joins again."""
        session, self.session = self.session, None
        if session is None:
            return
        if session.done():
            self._losing = self.loop.create_task(self._lose(0.0))
        else:
            session.set_result(None)

    def owns(self, source: TopicPartition) -> bool:
        """Whether *source* is assigned to this member."""
        return source in self._positions

    def claim(self) -> GroupMember:
        """What this member has, and what it has not given up yet; called by the group."""
        return GroupMember(frozenset(self.topics.names), tuple(self._positions), self._generation or -1)

    def receive_partitions(self, generation: int, share: Mapping[TopicPartition, Committed | None]) -> None:
        """Give up what is not in *share*, and begin what is new there; called by the group."""
        if self._closed or self.session is not None:
            return
        self._generation = generation
        if gone := frozenset(s for s in self._positions if s not in share and not self._gives_up(s)):
            leaving = self.loop.create_task(self._give_up(gone))
            self._leaving[leaving] = gone
            leaving.add_done_callback(self._leaving.pop)
        added = {source: commit for source, commit in share.items() if source not in self._positions}
        self._positions |= {s: self._group.start_of(s, commit) for s, commit in added.items()}
        self._finished |= {s: read(c).note.finished(c.offset) for s, c in added.items() if c is not None}
        try:
            self._assigned(added)
        except Exception as error:
            self._fail(error)
        self.wake()

    def _gives_up(self, source: TopicPartition) -> bool:
        return any(source in gone for gone in self._leaving.values())

    async def _give_up(self, gone: frozenset[TopicPartition]) -> None:
        """Give *gone* up. The member owns them while the callback runs, so commits in it count.

        The task never fails. An error of the callback is raised by the next fetch.
        """
        while gone:
            try:
                given_up = await self._revoked(gone) or gone
            except Exception as error:
                self._fail(error)
                given_up = gone
            gone -= given_up
            if task := asyncio.current_task():
                self._leaving[task] = gone
            self._forget(given_up)
            self._group.rebalance()

    def _forget(self, sources: Iterable[TopicPartition]) -> None:
        for source in tuple(sources):
            self._positions.pop(source, None)
            self._paused.discard(source)

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
