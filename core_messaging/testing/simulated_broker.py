"""The in-memory broker with faults, as one simulated process sees it: slow, refusing, or losing its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any

from core_messaging.broker import Assigned, Lost, Revoked, Subscription, Topics
from core_messaging.errors import BrokerError, CommitRefused, PublishFailed
from core_messaging.memory_broker.broker import MemoryBroker, MemoryConsumer, MemoryPublisher
from core_messaging.records import Committed, Outgoing, Receipt, Record, TopicPartition
from core_messaging.testing.result_marks import unmarked

TellCommit = Callable[[Mapping[TopicPartition, Committed]], None]
TellRecord = Callable[[Outgoing], None]
Sources = frozenset[TopicPartition]


@dataclass(slots=True)
class Trouble:
    """How many of the next commits and publishes of all processes fail, and how.

    ``refused``: not stored. ``unheard``: stored, and the answer is lost. ``slow``: it takes SLOW_COMMIT_TAKES seconds.
    """

    commits_refused: int = 0
    commits_unheard: int = 0
    commits_slow: int = 0
    publishes_refused: int = 0
    publishes_unheard: int = 0

    def end(self) -> None:
        """Let all later commits and publishes work."""
        self.commits_refused = self.commits_unheard = self.commits_slow = 0
        self.publishes_refused = self.publishes_unheard = 0


COMMIT_TAKES = 0.003  # seconds
SLOW_COMMIT_TAKES = 4.0  # seconds
ACK_TAKES = 0.005  # seconds


class SimulatedConsumer:
    """A MemoryConsumer whose commits take time and can fail. *told* is called with the offsets of each commit."""

    def __init__(self, inner: MemoryConsumer, trouble: Trouble, told: TellCommit) -> None:
        self.inner = inner
        self._trouble = trouble
        self._told = told
        # Done when the group takes this member for dead.
        self._session_expired: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, assigned: Assigned, revoked: Revoked, lost: Lost) -> None:
        """Join the group. Its callbacks run as a part of this process, and end when the process dies."""
        process = copy_context()

        async def lost_in_process(sources: Sources) -> None:
            await self._call(process, lost, sources)

        await self.inner.start(
            lambda commits: process.run(assigned, commits),
            partial(self._call, process, revoked),
            lost_in_process,
        )

    async def _call(self, process: Context, callback: Revoked | Lost, sources: Sources) -> Sources | None:
        if self.inner.session is not None:  # it died before its turn came
            await asyncio.wait([self._session_expired])
            return None
        call = asyncio.get_running_loop().create_task(_called(callback, sources), context=process)
        awaited: set[asyncio.Future[Any]] = {call, self._session_expired}
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not call.done():
                call.cancel()  # of a dead process: nothing runs there any more
                _close_unstarted(call)
        return call.result() if call.done() else None

    def vanish(self, session_timeout: float) -> None:
        """Let the process of this member be dead; the group notices after *session_timeout* seconds."""
        asyncio.get_running_loop().call_later(session_timeout, self._session_expired.set_result, None)
        self.inner.vanish(session_timeout)

    async def fetch(self, limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """See ``MemoryConsumer.fetch``."""
        return await self.inner.fetch(limit, wait)

    async def keep_alive(self) -> None:
        """See ``MemoryConsumer.keep_alive``."""
        await self.inner.keep_alive()

    def pause(self, sources: Sequence[TopicPartition]) -> None:
        """See ``MemoryConsumer.pause``."""
        self.inner.pause(sources)

    def resume(self, sources: Sequence[TopicPartition]) -> None:
        """See ``MemoryConsumer.resume``."""
        self.inner.resume(sources)

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit *offsets* after some time; fail or lose the answer if a fault says so. Raises BrokerError."""
        trouble = self._trouble
        # The offsets are checked before the commit can be refused: they have to be right in any case.
        self._told(offsets)
        membership = self.inner.memberships
        slow = trouble.commits_slow > 0
        trouble.commits_slow -= slow
        await asyncio.sleep(SLOW_COMMIT_TAKES if slow else COMMIT_TAKES)
        if trouble.commits_refused > 0:
            trouble.commits_refused -= 1
            raise BrokerError("the simulation refuses this commit")
        if membership != self.inner.memberships:
            raise CommitRefused("this member has left its group since, and has joined it again")
        await self.inner.commit(offsets)
        if trouble.commits_unheard > 0:
            trouble.commits_unheard -= 1
            raise BrokerError("the simulation stored this commit and lost the answer")

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """See ``MemoryConsumer.end_offsets``."""
        return await self.inner.end_offsets(sources)

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """See ``MemoryConsumer.positions``."""
        return await self.inner.positions(sources)

    async def close(self) -> None:
        """See ``MemoryConsumer.close``."""
        await self.inner.close()


def _close_unstarted(call: asyncio.Task[Sources | None]) -> None:
    """Python warns of a coroutine that is thrown away before its first step; in a dead process there is none."""
    coroutine = call.get_coro()
    if isinstance(coroutine, CoroutineType) and getcoroutinestate(coroutine) == CORO_CREATED:
        coroutine.close()


async def _called(callback: Revoked | Lost, sources: Sources) -> Sources | None:
    return await callback(sources)


class SimulatedPublisher:
    """Stores a record at once and answers later; with a fault, it loses the answer or does not store the record."""

    def __init__(self, inner: MemoryPublisher, trouble: Trouble, told: TellRecord) -> None:
        self._inner = inner
        self._trouble = trouble
        self._told = told

    async def start(self) -> None:
        """See ``MemoryPublisher.start``."""
        await self._inner.start()

    async def publish(self, record: Outgoing) -> asyncio.Future[Receipt]:
        """Store *record* unless a fault says otherwise; the returned future is done ACK_TAKES seconds later."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Receipt] = loop.create_future()
        loop.call_later(ACK_TAKES, _answer, answer, await self._outcome(record))
        return answer

    async def _outcome(self, record: Outgoing) -> Receipt | BrokerError:
        trouble = self._trouble
        if trouble.publishes_refused > 0:
            trouble.publishes_refused -= 1
            return PublishFailed(record.topic, "the simulation refuses this record")
        receipt = await (await self._inner.publish(unmarked(record)))
        self._told(record)
        if trouble.publishes_unheard > 0:
            trouble.publishes_unheard -= 1
            return PublishFailed(record.topic, "the simulation stored this record and lost the answer")
        return receipt

    async def close(self) -> None:
        """See ``MemoryPublisher.close``."""
        await self._inner.close()


def _answer(answer: asyncio.Future[Receipt], outcome: Receipt | BrokerError) -> None:
    if answer.done():
        return
    if isinstance(outcome, BrokerError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


@dataclass(slots=True)
class SimulatedBroker:
    """The broker that one process of the simulation connects to. ``consumers``: those that the process has opened."""

    memory: MemoryBroker
    trouble: Trouble
    tell_commit: TellCommit
    tell_record: TellRecord
    consumers: list[SimulatedConsumer] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What log lines and errors call this broker."""
        return self.memory.address

    def consumer(self, subscription: Subscription) -> SimulatedConsumer:
        """Return a new consumer of this process."""
        opened = SimulatedConsumer(self.memory.consumer(subscription), self.trouble, self.tell_commit)
        self.consumers.append(opened)
        return opened

    def die(self, session_timeout: float) -> None:
        """Let the process be dead; its group notices after *session_timeout* seconds."""
        for consumer in self.consumers:
            consumer.vanish(session_timeout)

    def freeze(self, session_timeout: float) -> None:
        """Let the process stand still until ``thaw``; its group takes it for dead after *session_timeout* seconds."""
        for consumer in self.consumers:
            consumer.inner.freeze(session_timeout)

    def thaw(self) -> None:
        """Let the process go on."""
        for consumer in self.consumers:
            consumer.inner.thaw()

    def publisher(self) -> SimulatedPublisher:
        """Return a new publisher of this process."""
        return SimulatedPublisher(self.memory.publisher(), self.trouble, self.tell_record)

    def topics(self) -> Topics:
        """Return what looks topics up and creates them; without faults."""
        return self.memory.topics()
