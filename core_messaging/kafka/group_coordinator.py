"""A member of a consumer group by the cooperative protocol (KIP-429), built on the coordinator of aiokafka 0.14.

aiokafka's own coordinator gives up all partitions before each rebalance, and the group may wait a whole session for a dead
member. This one goes on fetching and committing while the group decides. It gives up only what moves, and each partition
that it gives up is its own until that is done: it says so to the group, and joins again without it.

All private names of the client that this needs are checked at the start by ``client_insides``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.consumer.group_coordinator import UNKNOWN_OFFSET, GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as ClientPartition

from core_messaging.errors import BrokerError
from core_messaging.kafka.client_insides import check_insides
from core_messaging.kafka.consumer_protocol import (
    COOPERATIVE_STICKY,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from core_messaging.kafka.leave_group import LeaveGroup, check_left
from core_messaging.kafka.member_listeners import AssignmentListener, MemberRecord, Partitions
from core_messaging.kafka.membership import FencedInstanceIdError, is_fenced
from core_messaging.kafka.pattern_subscription import PatternSubscription
from core_messaging.kafka.topic_watch import TopicWatch
from core_messaging.options import TopicPattern
from core_messaging.records import TopicPartition
from core_messaging.rules.partition_assignor import GroupMember, assign_partitions

_JOINING = 2  # a connection of its own: the broker answers one request of a connection after the other, and a join waits
_JOIN_SLACK = 5.0  # seconds that the broker may take longer to answer than the group may take to rebalance
_LEAVE_TIMEOUT = 1.0  # seconds the broker has to answer a member that leaves while it joins
_NOT_JOINED = OffsetCommitRequest.DEFAULT_GENERATION_ID
_REBALANCED = (
    kafka_errors.UnknownMemberIdError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
)
_COORDINATOR_GONE = (
    kafka_errors.GroupCoordinatorNotAvailableError,
    kafka_errors.NotCoordinatorForGroupError,
    kafka_errors.RequestTimedOutError,
)

logger = logging.getLogger("core_messaging.kafka")


async def cooperate(
    consumer: Any, listener: AssignmentListener, instance_id: str | None, record: MemberRecord | None
) -> None:
    """Replace the coordinator of *consumer*, which is started and not subscribed. Raises ConfigurationError.

    *instance_id*: the static identity of the member. *record* is told of each of its ids.
    """
    check_insides(consumer)
    old = consumer._coordinator
    await old.close()
    old._cluster.remove_listener(old._handle_metadata_update)
    consumer._coordinator = CooperativeCoordinator(
        consumer._client,
        consumer._subscription,
        consumer._fetcher,
        listener,
        record,
        group_id=old.group_id,
        group_instance_id=instance_id,
        session_timeout_ms=old._session_timeout_ms,
        heartbeat_interval_ms=old._heartbeat_interval_ms,
        retry_backoff_ms=old._retry_backoff_ms,
        enable_auto_commit=False,
        exclude_internal_topics=old._exclude_internal_topics,
        max_poll_interval_ms=consumer._max_poll_interval_ms,
        rebalance_timeout_ms=old._rebalance_timeout_ms,
    )


class _Claims:
    """Stands in for the assignor of the client, which asks for the name and for the bytes to send with the next join."""

    name = COOPERATIVE_STICKY

    def __init__(self, coordinator: CooperativeCoordinator) -> None:
        self._coordinator = coordinator
        self.sent: Partitions = frozenset()
        self.topics: frozenset[str] = frozenset()

    def metadata(self, topics: Iterable[str]) -> bytes:
        self.sent, self.topics = self._coordinator.owned, frozenset(topics)
        owned = tuple(TopicPartition(*source) for source in self.sent)
        return encode_subscription(GroupMember(frozenset(topics), owned, self._coordinator.generation))


class CooperativeCoordinator(GroupCoordinator):  # type: ignore[misc] # aiokafka is untyped
    """Joins and leaves the group, and commits, for one consumer."""

    _group_subscription: set[str] | None

    def __init__(
        self,
        client: Any,
        subscription: Any,
        fetcher: Any,
        listener: AssignmentListener,
        record: MemberRecord | None,
        **options: Any,
    ) -> None:
        self._fetcher = fetcher
        self._listener = listener
        self._record = record
        self._claims = _Claims(self)
        self._giving_up: dict[asyncio.Task[None], Partitions] = {}
        self._former_member_id = ""  # of a static member
        self._synced = asyncio.Event()  # not set between the answers to JoinGroup and to SyncGroup
        self._synced.set()
        self._watch = TopicWatch(listener.on_topic_gone)
        self._pattern: PatternSubscription | None = None  # None: the topics have names
        super().__init__(client, subscription, assignors=(self._claims,), **options)

    @property
    def member_id(self) -> str:
        """The id that the group has given this member; empty before, and after the group has forgotten it."""
        return self._member_id

    @member_id.setter
    def member_id(self, given: str) -> None:
        # A static member needs no record: whoever has its identity next takes its place in the group.
        self._member_id = given
        if given and self._record is not None and self._group_instance_id is None:
            self._record.note(given)

    @property
    def owned(self) -> Partitions:
        """All partitions of this member; those that it is giving up are among them."""
        return frozenset(self._subscription.assigned_partitions())

    # Joining

    async def _on_join_prepare(self, previous_assignment: Any) -> None:  # noqa: ARG002 - nothing is given up
        self._group_subscription = None

    async def _do_rejoin_group(self, subscription: Any) -> bool:
        if self.generation == _NOT_JOINED:
            await self._lose()
        self.member_id, self._former_member_id = self.member_id or self._former_member_id, ""
        try:
            return bool(await super()._do_rejoin_group(subscription))
        except kafka_errors.KafkaError as error:
            if is_fenced(error):
                raise FencedInstanceIdError(self._group_instance_id) from error
            raise
        finally:
            self._synced.set()

    def reset_generation(self) -> None:
        """The group does not know this member any more.

        A static member joins again under its former id. If the broker answers that the identity is another member's, this
        one does not steal it back.
        """
        if self.generation > 0 and self._group_instance_id is not None:
            self._former_member_id = self.member_id
        super().reset_generation()

    async def _send_req(self, request: Any) -> Any:
        if not isinstance(request, JoinGroupRequest | SyncGroupRequest):
            return await super()._send_req(request)
        try:
            response = await self._unless_closed(self._send_on_own_connection(request))
        except kafka_errors.KafkaError as error:
            if not self._closing.done():
                logger.info("%s of group %s: %r", type(request).__name__, self.group_id, error)
                self.coordinator_dead()
            raise
        if isinstance(request, JoinGroupRequest) and response.error_code == 0:
            self._synced.clear()
        return response

    async def _unless_closed(self, sending: Any) -> Any:
        answer = asyncio.ensure_future(sending)
        try:
            await asyncio.wait([answer, self._closing], return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        raise kafka_errors.KafkaError("the consumer is closed while it joins its group")

    async def _send_on_own_connection(self, request: Any) -> Any:
        node = self.coordinator_id
        if node is None:
            raise kafka_errors.GroupCoordinatorNotAvailableError
        if not await self._client.ready(node, group=_JOINING):
            raise kafka_errors.NodeNotReadyError(node)
        longest = max(self._rebalance_timeout_ms, self._session_timeout_ms) / 1000
        self._client._conns[node, _JOINING]._request_timeout = longest + _JOIN_SLACK
        return await self._client.send(node, request, group=_JOINING)

    async def _perform_assignment(self, response: Any) -> Mapping[str, bytes]:
        members = {member[0]: decode_subscription(member[-1]) for member in response.members}
        # The leader watches the topics of all members.
        self._group_subscription = {topic for member in members.values() for topic in member.topics}
        self._client.set_topics(self._group_subscription if self._pattern is None else ())
        await self._client._maybe_wait_metadata()
        self._metadata_snapshot = self._get_metadata_snapshot()
        shares = assign_partitions(members, self._metadata_snapshot)
        return {name: encode_assignment(share) for name, share in shares.items()}

    async def _on_join_complete(
        self, generation: int, member_id: str, protocol: str, member_assignment_bytes: bytes
    ) -> None:
        self._synced.set()
        self._start_heartbeat_task()
        assigned = frozenset(
            ClientPartition(*source) for source in decode_assignment(member_assignment_bytes)
        )
        owned = self.owned
        logger.debug(
            "%s as %s in generation %d by %s: %s", self.group_id, member_id, generation, protocol, assigned
        )
        if gone := owned - assigned - self._given_up():
            self._begin_to_give_up(gone)
        self._add(assigned - owned)
        await self._listener.on_assigned(assigned - owned)
        # Given up after the claims were sent: the group still takes them for ours. Or a pattern has matched more since then.
        if self._claims.sent - owned - assigned or self._claims.topics != self._subscription.topics:
            self.request_rejoin()

    # What this member has

    def _add(self, added: Partitions) -> None:
        subscription = self._subscription.subscription
        if subscription.assignment is None:
            self._subscription.assign_from_subscribed(set())
        assignment = subscription.assignment
        for source in added:
            assignment._tp_state[source] = TopicPartitionState(assignment)
        assignment._topic_partitions |= added
        subscription._reassignment_in_progress = False
        self._subscription._notify_assignment_waiters()
        self._forget_fetched(added)
        if self._commit_refresh_task is None or self._commit_refresh_task.done():
            self.start_commit_offsets_refresh_task(assignment)

    def _forget_fetched(self, sources: Partitions) -> None:
        for source in sources:
            self._fetcher._records.pop(source, None)
        self._fetcher._notify(self._fetcher._wait_consume_future)

    def _given_up(self) -> Partitions:
        return frozenset().union(*self._giving_up.values())

    def _begin_to_give_up(self, gone: Partitions) -> None:
        assignment = self._subscription.subscription.assignment
        for source in gone:
            assignment.state_value(source).pause()
        task = asyncio.ensure_future(self._give_up(assignment, gone))
        self._giving_up[task] = gone
        task.add_done_callback(self._giving_up.pop)

    async def _give_up(self, assignment: Any, gone: Partitions) -> None:
        """Beside the rest: what takes long to give up holds up nothing else. The member joins again whenever some are given up."""
        while gone:
            given_up = await self._listener.on_revoked(gone)
            gone -= given_up
            if task := asyncio.current_task():
                self._giving_up[task] = gone
            self._drop(assignment, given_up)
            self.request_rejoin()

    def _drop(self, assignment: Any, given_up: Partitions) -> None:
        assignment._topic_partitions -= given_up
        for source in given_up:
            # Its state stays, paused: an answer to a fetch may still come. Who waits for its commit waits no more.
            assignment.state_value(source).update_committed(OffsetAndMetadata(UNKNOWN_OFFSET, ""))
        self._forget_fetched(given_up)

    async def _lose(self) -> None:
        lost, giving_up = self.owned, set(self._giving_up)
        if not lost:
            return
        for task in giving_up:
            task.cancel()
        if giving_up:
            await asyncio.wait(giving_up)
        await self._stop_commit_offsets_refresh_task()
        self._subscription.subscription._assign(set())
        self._subscription.begin_reassignment()
        await self._listener.on_lost(lost)

    def _handle_metadata_update(self, cluster: Any) -> None:
        """Where offsets mean nothing any more, this member has no partition from now on, and every commit is refused."""
        if error := self._watch.look(self._subscription.topics, cluster):
            self._disown(error)
        if self._pattern is not None and self._pattern.follow(self._subscription, cluster):
            self.request_rejoin()
        super()._handle_metadata_update(cluster)

    def _disown(self, error: BrokerError) -> None:
        if self._subscription.subscription is not None:
            self._subscription.subscription._assign(set())
            self._listener.fail(error)

    async def subscribe_pattern(self, pattern: TopicPattern) -> None:
        """Read the topics that match *pattern*, now and later. Raises KafkaError."""
        self._pattern = PatternSubscription(pattern)
        await self._client.set_topics(())  # no topic means all of them
        self._subscription.subscribe(topics=self._pattern.topics)

    # Commits

    async def commit_offsets(self, assignment: Any, offsets: Mapping[Any, Any]) -> None:
        """Commit *offsets* as the member that this is when the request is sent.

        A rebalance that is under way is no reason to give up: what this member owns it may commit. It is tried again until
        the partitions are lost or the caller gives up. Raises CommitFailedError, KafkaError.
        """
        while offsets:
            await self.ensure_coordinator_known()
            await self._synced.wait()
            if not (assignment.active and assignment.tps.issuperset(offsets)):
                raise kafka_errors.CommitFailedError
            try:
                return await self._commit_once(offsets)
            except _REBALANCED:
                pass
            except kafka_errors.KafkaError as error:
                if not error.retriable or self._closing.done():
                    raise
            await asyncio.sleep(self._retry_backoff_ms / 1000)
        return None

    async def _commit_once(self, offsets: Mapping[Any, Any]) -> None:
        by_topic = defaultdict(list)
        for source, offset in offsets.items():
            by_topic[source.topic].append((source.partition, offset.offset, offset.metadata))
        sent_by = (self.generation, self.member_id)
        retention = OffsetCommitRequest.DEFAULT_RETENTION_TIME
        response = await self._send_req(
            OffsetCommitRequest(self.group_id, *sent_by, retention, list(by_topic.items()))
        )
        codes = {code for _, partitions in response.topics for _, code in partitions} - {0}
        if not codes:
            return
        error = kafka_errors.for_code(min(codes))
        if issubclass(error, _COORDINATOR_GONE):
            self.coordinator_dead()
        # An answer about an earlier membership says nothing about this one.
        if issubclass(error, _REBALANCED) and sent_by == (self.generation, self.member_id):
            self.request_rejoin()
        raise error(f"group {self.group_id}: {response}")

    async def _do_heartbeat(self) -> bool:
        if self._record is not None:
            self._record.refresh()
        return bool(await super()._do_heartbeat())

    # Leaving

    async def close(self) -> None:
        """Finish what is being given up, and leave the group."""
        if self._giving_up:
            await asyncio.wait(self._giving_up)
        await super().close()
        for task in self._giving_up:
            task.cancel()

    async def _maybe_leave_group(self) -> None:
        """Leave also while the group has not let this member in: it would be a member that does nothing for a session.

        A static member leaves too: it was asked to stop. One that is killed or lost keeps its place for a session.
        """
        if self.member_id and self.coordinator_id is not None:
            try:
                async with asyncio.timeout(_LEAVE_TIMEOUT if self.generation == _NOT_JOINED else None):
                    await self._leave()
            except (kafka_errors.KafkaError, TimeoutError) as error:
                logger.debug("leaving group %s: %r", self.group_id, error)
        self.reset_generation()

    async def _leave(self) -> None:
        check_left(await self._send_req(LeaveGroup(self.group_id, self.member_id, self._group_instance_id)))
        if self._record is not None:
            self._record.clear()
