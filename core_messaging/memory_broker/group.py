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
    """Who is in, who has what, and what was committed.

    The protocol is the eager one: everybody gives up everything, and only when the last one has done so is
    anything handed out. So a member that takes long to let go holds up all the others.
    """

    def __init__(self, log: Log, reset: OffsetReset = "earliest") -> None:
        self._log = log
        self._reset = reset
        self._begins: dict[TopicPartition, int] = {}  # where it began in each partition
        self.members: list[MemoryConsumer] = []  # in the order they joined
        self.commits: dict[TopicPartition, Committed] = {}
        self.generation = 0
        self._changed = False
        self._running: asyncio.Task[None] | None = None

    def join(self, member: MemoryConsumer) -> None:
        # A member whose loop is closed died without leaving; its session is over by now.
        self.members = [other for other in self.members if not other.loop.is_closed()]
        self.members.append(member)
        self.rebalance()

    def leave(self, member: MemoryConsumer) -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        """Start one, or tell the running one that who or what it shares out has changed."""
        self._changed = True
        running = self._running
        if running is not None and not running.done() and not running.get_loop().is_closed():
            return
        loops = [member.loop for member in self.members if not member.loop.is_closed()]
        if loops:
            # In a context of its own: it is nobody's, and goes on without the member that brought it about.
            self._running = loops[0].create_task(self._rebalance(), context=Context())

    async def _rebalance(self) -> None:
        while self._changed and self.members:
            self._changed = False
            await asyncio.wait([member.let_go() for member in self.members])
            # Somebody came or went meanwhile: a newcomer has nothing to give up, so the next turn is a short one.
            if not self._changed:
                self._hand_out()

    def _hand_out(self) -> None:
        self.generation += 1
        shares = self._shares()
        self._begin(source for share in shares.values() for source in share)
        for member in tuple(self.members):
            commits = {source: self.commits.get(source) for source in shares[member]}
            member.take_over(self.generation, commits)

    def _begin(self, sources: Iterable[TopicPartition]) -> None:
        """What is first seen after the group began was written for it too: it is read from its first record."""
        at_end = self._reset == "latest" and not self._begins and not self.commits
        for source in sources:
            if source not in self._begins:
                self._begins[source] = self._log.end(source) if at_end else self._log.begin(source)

    def start_of(self, source: TopicPartition, commit: Committed | None) -> int:
        """The offset that a new owner of *source* reads first."""
        return self._begins[source] if commit is None else commit.offset

    def _shares(self) -> dict[MemoryConsumer, list[TopicPartition]]:
        """Each partition to the subscribed member with the fewest; the one who joined first where they tie."""
        shares: dict[MemoryConsumer, list[TopicPartition]] = {member: [] for member in self.members}
        for source in self._log.sources(topic for member in self.members for topic in member.topics):
            able = [member for member in self.members if source.topic in member.topics]
            shares[min(able, key=lambda member: len(shares[member]))].append(source)
        return shares


class MemoryConsumer:
    """One member of a group; belongs to the event loop it was started on."""

    def __init__(self, topics: tuple[str, ...], group: Group, log: Log, faults: Faults) -> None:
        self.topics = topics
        self._group, self._log, self._faults = group, log, faults
        self._generation: int | None = None  # None: not in the group, or giving up is done
        self._positions: dict[TopicPartition, int] = {}  # next offset to read; the longest unread comes first
        self._finished: dict[TopicPartition, list[Run]] = {}  # by the commits
        self._paused: set[TopicPartition] = set()
        self._waiting: set[asyncio.Future[bool]] = set()
        self._letting_go: asyncio.Task[None] | None = None
        self._broken: BrokerError | None = None
        # Set: its process is dead. Done: the group knows it.
        self._gone: asyncio.Future[None] | None = None

    async def start(self, assigned: Assigned, revoked: Revoked) -> None:
        """Ask to join; ``assigned`` follows when the group has decided. Raises BrokerUnreachable."""
        self._faults.check_reachable()
        self.loop = asyncio.get_running_loop()
        self._assigned, self._revoked = assigned, revoked
        for topic in self.topics:
            self._log.exists(topic)
        self._group.join(self)

    async def fetch(self, limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
        deadline = asyncio.get_running_loop().time() + wait
        # Without this a caller who always finds records would never let anybody else run.
        await asyncio.sleep(0)
        self._check_fetch()
        # No await between taking and returning: what was taken cannot be revoked on its way to the caller, and
        # a fetch that is cancelled while it waits has taken nothing.
        while not (found := self._take(limit)) and await self._woken(deadline):
            self._check_usable()
        return found

    def _check_fetch(self) -> None:
        self._check_usable()
        try:
            self._faults.check_fetch()
        except BrokerError as error:
            self._broken = error
            raise

    def _check_usable(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self not in self._group.members:
            raise BrokerError("this member is not in its group (any more); open another one")

    def _take(self, limit: int) -> dict[TopicPartition, Sequence[Record]]:
        taken = share_out(
            [source for source in self._positions if source not in self._paused], limit, self._read
        )
        return dict(taken)

    def _read(self, source: TopicPartition, limit: int) -> Sequence[Record]:
        position = self._retained(source, self._positions[source])
        records = self._log.read(source, position, limit)
        if records:
            # Put back at the end: the next fetch begins with another partition, so none starves.
            del self._positions[source]
            self._positions[source] = position + len(records)
        return records

    def _retained(self, source: TopicPartition, position: int) -> int:
        """*position*, or the first record that is left where it is out of range, which is said."""
        begin, end = self._log.begin(source), self._log.end(source)
        if begin <= position <= end:
            return position
        logger.error("%s", gone_text(source, position, begin, end, self._finished.get(source, [])))
        self._positions[source] = begin
        return begin

    async def _woken(self, deadline: float) -> bool:
        """False where the deadline came first."""
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
        """Let fetches that wait look again."""
        for waiting in self._waiting:
            _settle(waiting, True)  # noqa: FBT003 - the future's result

    async def keep_alive(self) -> None:
        """Nobody is thrown out for being slow here. Raises BrokerError where a fetch would."""
        self._check_usable()

    def pause(self, sources: Sequence[TopicPartition]) -> None:
        self._paused.update(self._positions.keys() & set(sources))

    def resume(self, sources: Sequence[TopicPartition]) -> None:
        self._paused.difference_update(sources)
        self.wake()

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """All of *offsets* or, where one of them is refused, none."""
        self._faults.check_commit()
        if self._generation != self._group.generation:
            raise CommitRefused("this member is not in the current generation of its group")
        strangers = [str(source) for source in offsets if source not in self._positions]
        if strangers:
            raise CommitRefused(f"{', '.join(strangers)} is not assigned to this member")
        # Keys may be the caller's own kind of tuple; what is kept is ours.
        self._group.commits.update({TopicPartition(*source): commit for source, commit in offsets.items()})

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Raises TopicMissing."""
        return {source: self._log.end(source) for source in sources}

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Of those that this member has."""
        return {source: self._positions[source] for source in sources if source in self._positions}

    async def close(self) -> None:
        """Leave the group; where it is giving up its partitions just now, that is finished first."""
        # Out of the group before the wait, or a rebalance that ends in the same moment would hand out to us.
        # It still waits for the callback, and commits inside it count: they go by the generation.
        self._group.leave(self)
        self.wake()
        running = self._letting_go
        try:
            # The callback itself may close the member; waiting for itself it would wait for ever.
            if running is not None and not running.done() and running is not asyncio.current_task():
                await asyncio.wait([running])
        finally:
            self._forget()

    def vanish(self, session_timeout: float) -> None:
        """Its process is dead: it answers nothing any more, and the group finds out *session_timeout* seconds later."""
        if self not in self._group.members:
            return
        self._gone = self.loop.create_future()
        self.loop.call_later(session_timeout, self._buried, self._gone)

    def _buried(self, gone: asyncio.Future[None]) -> None:
        _settle(gone, None)
        self._forget()
        self._group.leave(self)

    def expel(self) -> None:
        """The group takes it for dead while it lives: its commits are refused, its next fetch tells it."""
        self._generation = None
        self._group.leave(self)
        self.wake()

    def owns(self, source: TopicPartition) -> bool:
        return source in self._positions

    def let_go(self) -> asyncio.Task[None]:
        """Called by the group: give up everything. The task never fails; the next fetch tells what went wrong."""
        self._letting_go = asyncio.get_running_loop().create_task(self._let_go())
        return self._letting_go

    async def _let_go(self) -> None:
        if self._gone is not None:
            await self._gone
            return
        leaving = frozenset(self._positions)
        # Still owned while the callback runs, so its commits count; paused, so no record of them is returned.
        self._paused.update(leaving)
        try:
            if leaving:
                await self._revoked(leaving)
        except Exception as error:
            self._break(error)
        finally:
            self._forget()

    def take_over(self, generation: int, commits: Mapping[TopicPartition, Committed | None]) -> None:
        """Called by the group, when nobody has anything any more."""
        if self._gone is not None:
            return
        self._generation = generation
        self._positions = {s: self._group.start_of(s, commit) for s, commit in commits.items()}
        self._finished = {s: read(c).note.finished(c.offset) for s, c in commits.items() if c is not None}
        try:
            self._assigned(commits)
        except Exception as error:
            self._break(error)
        self.wake()

    def _forget(self) -> None:
        self._generation = None
        self._positions, self._paused = {}, set()

    def _break(self, error: Exception) -> None:
        """As with Kafka, the group goes on; this member finds out with its next fetch."""
        if isinstance(error, BrokerError):
            self._broken = error
        else:
            self._broken = BrokerError(f"a rebalance failed: {error!r}; open another member")
            self._broken.__cause__ = error
        self.wake()


def _settle(waiting: asyncio.Future[Result], result: Result) -> None:
    if not waiting.done():
        waiting.set_result(result)
