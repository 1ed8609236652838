"""One member of a consumer group, on aiokafka."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as ClientPartition

from core_messaging.broker import Assigned, Lost, Revoked, Subscription
from core_messaging.errors import BrokerError, CommitRefused, IdentityTaken, UnreadableRecords
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.client_lifecycle import connect, stop
from core_messaging.kafka.client_passthrough import consumer_options
from core_messaging.kafka.cluster_identity import cluster_of
from core_messaging.kafka.dead_members import report_predecessors
from core_messaging.kafka.embedded_group import OnlyMember, shorten_session
from core_messaging.kafka.errors import (
    UNREADABLE,
    as_broker_error,
    describe,
    is_rebalance,
    own_cancellation_or_error,
)
from core_messaging.kafka.fetch_buffer import LONG_POLL, LOOK, ClientBuffer, PollWait
from core_messaging.kafka.group_callbacks import GroupCallbacks
from core_messaging.kafka.group_coordinator import cooperate
from core_messaging.kafka.member_places import PLACES, Group, Place
from core_messaging.kafka.membership import AUTO, membership_error, static_identity
from core_messaging.kafka.parse_errors import Unreadable, remedy_for, unparsable_in
from core_messaging.kafka.positions import KafkaPositions
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.flow_control import share_out
from core_messaging.settings import Settings

logger = logging.getLogger("core_messaging.kafka")

# A fetch ends this many seconds after its own wait. Without it, the client waits for an assignment without a limit.
_FETCH_SLACK = 5.0


_FETCH_SHARE = 4  # one fetch may add max_in_flight_bytes divided by this to the records in memory

_PARSE_RETRY = 60.0  # seconds between two tries to parse a record that the client could not parse


class KafkaConsumer:
    """One member of a consumer group. It belongs to the event loop that it was started on."""

    def __init__(
        self,
        settings: Settings,
        subscription: Subscription,
        taken: set[str] | None = None,
        made_anew: set[str] | None = None,
    ) -> None:
        """*taken*: static identities (``group_instance_id``) that other processes have. *made_anew*: see ``KafkaPositions``.

        The consumer does not use the identities, and adds each further one that the broker refuses.
        """
        self._made_anew = made_anew
        self._settings = settings
        self._taken: set[str] = set() if taken is None else taken
        self._subscription = subscription
        self._client: Any = None
        self._positions: KafkaPositions
        self._callbacks: GroupCallbacks
        self._only_member: OnlyMember | None = None  # at the embedded broker only
        self._place: Place | None = None
        self._paused: set[TopicPartition] = set()
        self._unparsable: dict[Any, float] = {}  # partition -> when the client failed to parse a record of it

        self._served: dict[Any, int] = {}  # partition -> serial number of the share that it got last
        self._serial = 0

    async def start(self, assigned: Assigned, revoked: Revoked, lost: Lost) -> None:
        """Connect and ask to join the group; ``assigned`` is called when the group has assigned partitions.

        Raises BrokerUnreachable, BrokerRefused or another BrokerError; ConfigurationError for settings that the client
        does not take, and SecondMember where the embedded broker has a member of this group already.
        """
        self._client = await connect(self._settings, self._make_client)
        reset = self._settings.kafka_auto_offset_reset
        self._positions = KafkaPositions(self._client, reset, self._made_anew)
        self._callbacks = GroupCallbacks(self._client, self._positions, assigned, revoked, lost, self._forget)
        await self._take_place()
        await cooperate(self._client, self._callbacks, self._instance_id(), self._place)
        if self._only_member is not None:
            shorten_session(self._client)
        self._buffer, self._poll_wait = ClientBuffer(self._client), PollWait(self._client)
        # The client subscribes after its start: with a subscription, start() waits for the assignment without a limit.
        if self._subscription.pattern is None:
            self._client.subscribe(topics=list(self._subscription.topics))
            return
        with self._translated_errors():
            await self._client._coordinator.subscribe_pattern(self._subscription.pattern)  # noqa: SLF001 - it is our own
        self._positions.begin_with(self._client.subscription())

    async def _take_place(self) -> None:
        """Take the place of this member on its machine, and tell the group which members have died here."""
        with self._translated_errors():
            cluster = await cluster_of(self._client)
        group, settings = Group(cluster.name, self._subscription.group_id), self._settings
        if cluster.is_embedded:
            self._only_member = OnlyMember(cluster, group.name)
        elif settings.kafka_report_dead_members or settings.kafka_group_instance_id == AUTO:
            self._place = PLACES.take(group)
        if self._place is not None and settings.kafka_report_dead_members:
            network = self._client._client  # noqa: SLF001 - the client does not send this request itself
            await report_predecessors(network, group, self._place)

    def _make_client(self) -> Any:
        settings = self._settings
        return aiokafka.AIOKafkaConsumer(
            group_id=self._subscription.group_id,
            enable_auto_commit=False,
            fetch_max_wait_ms=LONG_POLL,
            consumer_timeout_ms=_ms(LOOK),
            auto_offset_reset="none",  # see KafkaPositions
            isolation_level=settings.kafka_isolation_level,
            session_timeout_ms=_ms(settings.kafka_session_timeout),
            heartbeat_interval_ms=_ms(settings.kafka_heartbeat_interval),
            rebalance_timeout_ms=_ms(settings.kafka_rebalance_timeout),
            metadata_max_age_ms=_ms(settings.kafka_metadata_max_age),
            **client_options(settings, self._subscription.client_id),
            **consumer_options(settings),
        )

    def _instance_id(self) -> str | None:
        """The static identity, None for a member without one. With "auto", ``_take_place`` has to come first."""
        place = None if self._place is None else self._place.number
        setting = self._settings.kafka_group_instance_id
        identity = static_identity(setting, self._subscription.group_id, socket.gethostname(), place)
        return None if identity in self._taken else identity

    async def fetch(self, limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return the next records by partition: at most *limit*; wait at most *wait* seconds for the first.

        The client's parser makes the records, because a copy of each would cost more than a handler that does nothing. The
        keys are the client's named tuples; they compare and hash like ``TopicPartition``.

        Raises BrokerError when this member cannot go on.
        """
        self._callbacks.check()
        self._resume_unparsable()
        wanted = self._unpaused() if self._paused else ()
        if self._paused and not wanted:
            await asyncio.sleep(wait)  # the client takes a call without partitions as a call for all of them
            return {}
        try:
            async with asyncio.timeout(wait + _FETCH_SLACK):
                # One record only: the client empties its buffer of one partition before it looks at the next.
                first = await self._client.getmany(*wanted, timeout_ms=_ms(wait), max_records=1)
        except asyncio.CancelledError as error:
            raise own_cancellation_or_error(error) from error
        except TimeoutError:
            return {}
        except (kafka_errors.OffsetOutOfRangeError, kafka_errors.NoOffsetForPartitionError) as error:
            await self._recover_position(error)
            return {}
        except Exception as error:
            if (found := unparsable_in(error)) is None:
                raise self._as_fetch_error(error) from error
            self._pause_unparsable(found, error)
            first = {source: records for source, records in found.before.items() if records}
        first = self._without_paused(first)
        # No await from here on: records that were taken before a rebalance must not be returned after it.
        fetched = self._share_out(first, limit)
        now, leftover = asyncio.get_running_loop().time(), bool(self._buffer.sources())
        self._poll_wait.choose(now, found=bool(first), leftover=leftover)
        return fetched

    def _without_paused(self, first: Mapping[Any, Sequence[Record]]) -> Mapping[Any, Sequence[Record]]:
        """Give back the record of a partition that was paused while this fetch waited: it comes again after the pause."""
        for source in [source for source in first if source in self._paused]:
            self._client.seek(source, first[source][0].offset)
        return {source: records for source, records in first.items() if source not in self._paused}

    def _share_out(
        self, first: Mapping[Any, Sequence[Record]], limit: int
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return *first* and more records from the client's buffer, an equal share for each partition."""
        if not first:
            return {}
        sources = [source for source in self._buffer.sources() if source not in self._paused]
        sources.sort(key=lambda source: self._served.get(source, 0))
        size = max(1, self._settings.max_in_flight_bytes // _FETCH_SHARE // max(1, len(sources)))
        more = share_out(
            sources,
            limit - sum(map(len, first.values())),
            lambda source, count: self._read(source, count, size),
        )
        for source in more:
            self._serial += 1
            self._served[source] = self._serial
        return {
            source: [*first.get(source, ()), *more.get(source, ())]
            for source in dict.fromkeys([*first, *more])
        }

    def _read(self, source: Any, limit: int, size: int) -> Sequence[Record]:
        try:
            return self._buffer.read(source, limit, size)
        except Exception as error:
            if (found := unparsable_in(error)) is None:
                # Records that were taken already are returned; the next fetch raises the error.
                self._callbacks.fail(self._as_fetch_error(error))
                return ()
            self._pause_unparsable(found, error)
            return found.before.get(source, ())

    async def _recover_position(self, error: kafka_errors.KafkaError) -> None:
        """Give a partition without a valid position a new one.

        Where the broker does not answer, the next fetch fails in the same way, and the broker is asked again.
        """
        try:
            await self._positions.recover(error)
        except asyncio.CancelledError as cancelled:
            raise own_cancellation_or_error(cancelled) from cancelled
        except (kafka_errors.KafkaError, TimeoutError) as reason:
            logger.debug("no valid position; the broker is asked again: %s", describe(reason))

    def _as_fetch_error(self, error: Exception) -> BrokerError:
        identity = self._instance_id()
        reason = membership_error(error, self._subscription.group_id, identity, self._settings)
        if reason is not None:
            if isinstance(reason, IdentityTaken) and identity is not None:
                self._taken.add(identity)
            return reason
        if isinstance(error, kafka_errors.KafkaError) and not isinstance(error, UNREADABLE):
            return as_broker_error(error, self._settings)
        # The client has dropped the records that it parsed before the error and moved its position past them. To go on
        # with this member would lose them.
        return UnreadableRecords(describe(error))

    def _pause_unparsable(self, found: Unreadable, error: Exception) -> None:
        """Pause the partition at the record that the client cannot parse. The other partitions go on."""
        self._client.seek(found.source, found.offset)
        self._client.pause(found.source)
        self._unparsable[found.source] = asyncio.get_running_loop().time()
        source = TopicPartition(*found.source)
        logger.error(
            "%s stands still at offset %d: the client cannot parse the record that the broker stores there (%s). No message "
            "is lost, the other partitions go on, and the record is fetched again every %g s; %s",
            source,
            found.offset,
            describe(error),
            _PARSE_RETRY,
            remedy_for(error, source, found.offset),
            extra={"action": "unreadable", **found.source._asdict(), "offset": found.offset},
        )

    def _resume_unparsable(self) -> None:
        """Resume the partitions whose record is to be parsed once more."""
        now = asyncio.get_running_loop().time()
        due = [source for source, since in self._unparsable.items() if now - since >= _PARSE_RETRY]
        for source in due:
            del self._unparsable[source]
        self._client.resume(*self._client.assignment().intersection(due))

    def _unpaused(self) -> tuple[Any, ...]:
        return tuple(source for source in self._client.assignment() if source not in self._paused)

    async def keep_alive(self) -> None:
        """Reset the client's own poll timer by a fetch that returns no record: every partition is paused in it.

        Raises BrokerError.
        """
        mine = self._client.assignment()
        self._client.pause(*mine)
        try:
            with self._translated_errors():
                await self._client.getmany(timeout_ms=0)
        finally:
            self._client.resume(
                *mine.intersection(self._client.assignment()).difference(
                    self._unparsable, self._callbacks.moving
                )
            )

    def pause(self, sources: Sequence[TopicPartition]) -> None:
        """Let ``fetch`` return no records of *sources* until they are resumed.

        The client's own pause throws away the records that it has prefetched, so a partition that pauses and resumes all
        the time would be fetched again and again. Instead, ``fetch`` asks the client for the other partitions only.
        """
        self._paused.update(sources)

    def resume(self, sources: Sequence[TopicPartition]) -> None:
        """Let ``fetch`` return records of *sources* again."""
        self._paused.difference_update(sources)

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit *offsets* within ``kafka_commit_timeout`` seconds.

        The time is limited because the client repeats a commit for as long as it finds no group coordinator.

        Raises CommitRefused where the group has given the partitions to others, BrokerError otherwise.
        """
        todo = {
            ClientPartition(*source): OffsetAndMetadata(commit.offset, commit.metadata)
            for source, commit in offsets.items()
        }
        seconds = self._settings.kafka_commit_timeout
        try:
            async with asyncio.timeout(seconds):
                await self._client.commit(todo)
        except asyncio.CancelledError as error:
            raise own_cancellation_or_error(error) from error
        except TimeoutError as error:
            raise BrokerError(
                f"the group coordinator did not take the commit within {seconds:g} s"
            ) from error
        except kafka_errors.CommitFailedError as error:
            # The client's own text is a paragraph about poll(), which this code does not call.
            raise CommitRefused("the group has rebalanced and given the partitions to others") from error
        except kafka_errors.IllegalStateError as error:  # the partition is not assigned, or not any more
            raise CommitRefused(_first_line(error)) from error
        except kafka_errors.KafkaError as error:
            if is_rebalance(error):
                raise CommitRefused(_first_line(error)) from error
            raise as_broker_error(error, self._settings) from error

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset that the next record of each partition will get. Raises BrokerError."""
        with self._translated_errors():
            found = await self._client.end_offsets([ClientPartition(*source) for source in sources])
        return {TopicPartition(*source): offset for source, offset in found.items()}

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset at which ``fetch`` goes on in each partition.

        A partition is left out where its position is not known yet, or where it stands still at a record that cannot be
        parsed.
        """
        return self._positions.known(source for source in sources if source not in self._unparsable)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise BrokerError in place of an error that the client raises in the block."""
        try:
            yield
        except asyncio.CancelledError as error:
            raise own_cancellation_or_error(error) from error
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error

    async def close(self) -> None:
        """Leave the group and disconnect, within some seconds. Commits nothing. Safe to repeat."""
        client, self._client = self._client, None
        try:
            if client is not None:
                await stop(client)
        finally:
            if self._only_member is not None:
                self._only_member.release()
            if self._place is not None:
                self._place.release()

    def _forget(self, sources: frozenset[Any]) -> None:
        self._paused -= sources
        for source in sources:
            self._unparsable.pop(source, None)
            self._served.pop(source, None)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0]
