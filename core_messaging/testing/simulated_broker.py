"""The in-memory broker as one simulated process sees it: slow, refusing, forgetful, whatever the fault is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial

from core_messaging.broker import Assigned, Lost, Revoked, Subscription, Topics
from core_messaging.errors import BrokerError, PublishFailed
from core_messaging.memory_broker.broker import MemoryBroker, MemoryConsumer, MemoryPublisher
from core_messaging.records import Committed, Outgoing, Receipt, Record, TopicPartition
from core_messaging.testing.result_marks import unmarked

TellCommit = Callable[[Mapping[TopicPartition, Committed]], None]
TellRecord = Callable[[Outgoing], None]


@dataclass(slots=True)
class Trouble:
    """What the next commits and publishes of all processes run into."""

    commits_refused: int = 0
    commits_unheard: int = 0
    commits_slow: int = 0
    publishes_refused: int = 0
    publishes_unheard: int = 0

    def end(self) -> None:
        """From here on everything works."""
        self.commits_refused = self.commits_unheard = self.commits_slow = 0
        self.publishes_refused = self.publishes_unheard = 0


COMMIT_TAKES = 0.003  # seconds
SLOW_COMMIT_TAKES = 4.0  # seconds
ACK_TAKES = 0.005  # seconds


class SimulatedConsumer:
    """A MemoryConsumer whose commits take time and can fail."""

    def __init__(self, inner: MemoryConsumer, trouble: Trouble, told: TellCommit) -> None:
        self.inner = inner
        self._trouble = trouble
        self._told = told
        self._given_up: asyncio.Future[None] = (
            asyncio.get_running_loop().create_future()
        )  # as dead, by its group

    async def start(self, assigned: Assigned, revoked: Revoked, lost: Lost) -> None:
        """The group calls back in its own time; what it calls is this process's, and dies with it."""
        process = copy_context()

        def of_process(callback: Revoked) -> Revoked:
            return partial(self._call, process, callback)

        await self.inner.start(
            lambda commits: process.run(assigned, commits), of_process(revoked), of_process(lost)
        )

    async def _call(self, process: Context, callback: Revoked, sources: frozenset[TopicPartition]) -> None:
        call = asyncio.get_running_loop().create_task(_called(callback, sources), context=process)
        try:
            await asyncio.wait([call, self._given_up], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not call.done():
                call.cancel()  # of a dead process: nothing runs there any more
        if call.done():
            call.result()

    def vanish(self, session_timeout: float) -> None:
        """Its process is dead; its group finds out *session_timeout* seconds later."""
        asyncio.get_running_loop().call_later(session_timeout, self._given_up.set_result, None)
        self.inner.vanish(session_timeout)

    async def fetch(self, limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
        return await self.inner.fetch(limit, wait)

    async def keep_alive(self) -> None:
        await self.inner.keep_alive()

    def pause(self, sources: Sequence[TopicPartition]) -> None:
        self.inner.pause(sources)

    def resume(self, sources: Sequence[TopicPartition]) -> None:
        self.inner.resume(sources)

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        trouble = self._trouble
        # Checked before it can be refused: what is asked for must be true whatever comes of it.
        self._told(offsets)
        slow = trouble.commits_slow > 0
        trouble.commits_slow -= slow
        await asyncio.sleep(SLOW_COMMIT_TAKES if slow else COMMIT_TAKES)
        if trouble.commits_refused > 0:
            trouble.commits_refused -= 1
            raise BrokerError("the simulation refuses this commit")
        await self.inner.commit(offsets)
        if trouble.commits_unheard > 0:
            trouble.commits_unheard -= 1
            raise BrokerError("the simulation stored this commit and lost the answer")

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return await self.inner.end_offsets(sources)

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return await self.inner.positions(sources)

    async def close(self) -> None:
        await self.inner.close()


async def _called(callback: Revoked, sources: frozenset[TopicPartition]) -> None:
    await callback(sources)


class SimulatedPublisher:
    """Stores at once and answers later, or not, or without having stored."""

    def __init__(self, inner: MemoryPublisher, trouble: Trouble, told: TellRecord) -> None:
        self._inner = inner
        self._trouble = trouble
        self._told = told

    async def start(self) -> None:
        await self._inner.start()

    async def publish(self, record: Outgoing) -> asyncio.Future[Receipt]:
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
    """What one process of the simulation connects to. ``consumers``: those it has opened."""

    memory: MemoryBroker
    trouble: Trouble
    tell_commit: TellCommit
    tell_record: TellRecord
    consumers: list[SimulatedConsumer] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.memory.address

    def consumer(self, subscription: Subscription) -> SimulatedConsumer:
        opened = SimulatedConsumer(self.memory.consumer(subscription), self.trouble, self.tell_commit)
        self.consumers.append(opened)
        return opened

    def die(self, session_timeout: float) -> None:
        """The process is gone; its group finds out *session_timeout* seconds later."""
        for consumer in self.consumers:
            consumer.vanish(session_timeout)

    def publisher(self) -> SimulatedPublisher:
        return SimulatedPublisher(self.memory.publisher(), self.trouble, self.tell_record)

    def topics(self) -> Topics:
        return self.memory.topics()
