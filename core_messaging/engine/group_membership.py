"""Keeps one worker in its consumer group: a session that is beyond repair is replaced by another one."""

from __future__ import annotations

import asyncio

from core_messaging.broker import Broker, Subscription
from core_messaging.engine.committer import Committer
from core_messaging.engine.components import Components
from core_messaging.engine.monitor import Monitor
from core_messaging.engine.poison_pill import PoisonPillSearch
from core_messaging.engine.rebalance_listener import tell_revoked
from core_messaging.engine.session import Session
from core_messaging.errors import (
    BrokerError,
    ConfigurationError,
    CoreMessagingError,
    GroupRefused,
    MessagesGone,
)
from core_messaging.records import TopicPartition
from core_messaging.rules.fleet_state import control_topic_names
from core_messaging.rules.retry import RetryPolicy

REOPEN = RetryPolicy(backoff="exponential", initial_delay=0.5, max_delay=30.0)
STEADY = 60.0  # seconds; a session that lived so long did not end because of how it began


class GroupMembership:
    """The membership of one worker over all its sessions.

    ``session`` is None while the worker is in no group. ``given_back`` counts the messages that were fetched and not finished
    when the worker left its group.
    """

    def __init__(self, components: Components, broker: Broker, monitor: Monitor) -> None:
        self._components = components
        self._broker = broker
        self._monitor = monitor
        self._committer = Committer(components.worker_log, components.counters)
        self._poison_pill_search = PoisonPillSearch(components, self._committer)
        self.session: Session | None = None
        self.given_back = 0

    async def fetch_forever(self) -> None:
        """Join the group and fetch, until the worker stops. A session that is beyond repair is replaced, after a delay that grows.

        Raises what ``Session.start`` raises if the first session cannot join, and GroupRefused if its group does not let it
        in: the user has to mend that. Later it is an outage.
        """
        self.session = await self._open()
        clock = self._components.loop.time
        failures, opened = 0, clock()
        while True:
            try:
                if self.session is None:
                    self.session, opened = await self._open(), clock()
                await self.session.fetch_forever()
            except MessagesGone as error:
                self._components.lifecycle.fail(error)
                return
            # A ConfigurationError of settings that were right at the start: certificates that are being exchanged, say.
            except (BrokerError, ConfigurationError) as error:
                if isinstance(error, GroupRefused) and self._was_never_in():
                    await self._close()
                    raise
                steady = self.session is not None and clock() - opened > STEADY
                failures = 1 if steady else failures + 1
                await self._abandon(error, failures)
                await asyncio.sleep(REOPEN.delay(failures))

    def _was_never_in(self) -> bool:
        """Whether the group has not let this worker in since it was started."""
        joined = self.session is not None and self.session.status.joined
        return not joined and not self._monitor.has_lost_its_group

    async def _open(self) -> Session:
        components, config = self._components, self._components.config
        client_id = components.settings.kafka_client_id
        pattern = config.topic_pattern(control_topic_names(components.settings.kafka_control_topic))
        consumer = self._broker.consumer(
            Subscription(config.group_id, config.input_topics, client_id, pattern)
        )
        again = self._monitor.has_lost_its_group
        session = Session(components, consumer, self._committer, self._poison_pill_search, again=again)
        try:
            await session.start()
        except BaseException:
            await session.consumer.close()
            raise
        return session

    async def _abandon(self, error: CoreMessagingError, failures: int) -> None:
        joined = self.session is not None and self.session.status.joined
        self._say_lost(error, REOPEN.delay(failures), joined=joined)
        self._monitor.lost(error, joined=joined)
        leaving = self._fence_all()
        self._components.runner_pool.notify_quiet()
        await self._close()
        await tell_revoked(self._components.observers, self._components.config, leaving)

    async def _close(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            await session.consumer.close()

    def _say_lost(self, error: CoreMessagingError, delay: float, *, joined: bool) -> None:
        again = " again" if self._monitor.has_lost_its_group else ""
        self._components.worker_log.error(
            "consumer lost",
            "%s %s: %s. Work in flight is repeated by whoever gets the partitions; rejoining in %.1f s",
            "lost its consumer" if joined else f"cannot join its group{again}",
            error,
            delay,
        )

    def _fence_all(self) -> tuple[TopicPartition, ...]:
        """Results of all partitions count for nothing any more. Those partitions."""
        leaving = self._components.assignment_table.sources
        self._components.assignment_table.fence(leaving)
        return leaving

    async def commit_forever(self) -> None:
        """Commit every ``commit_interval`` seconds."""
        while True:
            await asyncio.sleep(self._components.settings.commit_interval)
            session = self.session
            if session is not None:
                assignments = list(self._components.assignment_table.assignments)
                await self._committer.commit(session.consumer, assignments)

    async def watch_forever(self) -> None:
        """Look every ``metrics_interval`` seconds whether something has stopped."""
        while True:
            await asyncio.sleep(self._components.settings.metrics_interval)
            await self._monitor.look(self.session, draining=self._components.lifecycle.is_draining)

    async def leave(self) -> None:
        """Commit for the last time, then leave the group: the commit needs a live member."""
        session, assignments = self.session, self._components.assignment_table.assignments
        if session is None:
            return
        self.given_back = sum(assignment.unfinished for assignment in assignments)
        await self._committer.give_back(session.consumer, assignments)
        await session.consumer.close()

    async def give_up_partitions(self) -> None:
        """Nothing is committed any more: the next owner of each partition begins at its last commit."""
        leaving = self._fence_all()
        with self._components.lifecycle.held_up_by("the plugins' on_revoked"):
            await tell_revoked(self._components.observers, self._components.config, leaving)
