"""One member of a consumer group, by aiokafka."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as ClientPartition

from core_messaging.broker import Assigned, Revoked, Subscription
from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.errors import BrokerError, CommitRefused, IdentityTaken, UnreadableRecords
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.client_lifecycle import connect, stop
from core_messaging.kafka.embedded_group import OnlyMember, cluster_of, shorten_session
from core_messaging.kafka.errors import UNREADABLE, as_broker_error, describe, is_rebalance
from core_messaging.kafka.fetch_buffer import ClientBuffer
from core_messaging.kafka.membership import why_not_in
from core_messaging.kafka.parse_errors import Unreadable, found_in, remedy
from core_messaging.kafka.positions import KafkaPositions
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.flow_control import share_out
from core_messaging.settings import Settings

logger = logging.getLogger("core_messaging.kafka")

# Where one fetch may block beyond its own wait: the client waits for an assignment without a limit.
_FETCH_SLACK = 5.0  # seconds

# How long the broker may hold a request that finds nothing: briefly for so long after we took less than there was.
_PATIENTLY, _BRIEFLY = 500, 20  # milliseconds
_LATELY = 1.0  # seconds

_PARTS = 4  # of max_in_flight_bytes: one is what a fetch may add to what is held

_STUCK = 60.0  # seconds between two tries to parse what could not be parsed


class KafkaConsumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """One member of a consumer group; belongs to the event loop it was started on."""

    def __init__(self, settings: Settings, subscription: Subscription, taken: set[str] | None = None) -> None:
        """*taken*: the static identities that other processes have; one that is found to be so is added."""
        self._settings = settings
        self._taken: set[str] = set() if taken is None else taken
        self._subscription = subscription
        self._client: Any = None
        self._positions: KafkaPositions
        self._assigned: Assigned | None = None
        self._revoked: Revoked | None = None
        self._broken: BrokerError | None = None
        self._only_member: OnlyMember | None = None  # at the embedded broker
        self._paused: set[TopicPartition] = set()
        self._stuck: dict[Any, float] = {}  # where bytes were found that cannot be parsed, and when
        self._left_at = -_LATELY  # when we last took less than the client had
        self._served: dict[Any, int] = {}  # who was last given a part of a fetch, by a serial number
        self._serial = 0

    async def start(self, assigned: Assigned, revoked: Revoked) -> None:
        """Connect and ask to join; ``assigned`` follows when the group has decided.

        Raises BrokerError; ConfigurationError, SecondMember among them.
        """
        self._assigned, self._revoked = assigned, revoked
        self._client = await connect(self._settings, self._make_client)
        reset = self._settings.kafka_auto_offset_reset
        self._positions = KafkaPositions(self._client, self._subscription.topics, reset)
        await self._mind_the_embedded_broker()
        self._buffer = ClientBuffer(self._client)
        # Subscribed only now: start() of the client would wait for the assignment, however long the group takes.
        self._client.subscribe(topics=list(self._subscription.topics), listener=self)

    async def _mind_the_embedded_broker(self) -> None:
        with self._in_our_words():
            cluster = await cluster_of(self._client)
        if cluster.is_embedded:
            self._only_member = OnlyMember(cluster, self._subscription.group_id)
            shorten_session(self._client)

    def _make_client(self) -> Any:
        settings = self._settings
        # The assignor keeps its state on the class, so every member needs a class of its own: two workers in
        # one process would claim each other's partitions as theirs.
        assignor = type("StickyOfOneMember", (StickyPartitionAssignor,), {})
        return aiokafka.AIOKafkaConsumer(
            group_id=self._subscription.group_id,
            group_instance_id=self._instance_id(),
            enable_auto_commit=False,
            fetch_max_wait_ms=_PATIENTLY,
            auto_offset_reset="none",  # see KafkaPositions
            isolation_level=settings.kafka_isolation_level,
            session_timeout_ms=_ms(settings.kafka_session_timeout),
            heartbeat_interval_ms=_ms(settings.kafka_heartbeat_interval),
            rebalance_timeout_ms=_ms(settings.kafka_rebalance_timeout),
            metadata_max_age_ms=_ms(settings.kafka_metadata_max_age),
            partition_assignment_strategy=(assignor,),
            **client_options(settings, self._subscription.client_id),
        )

    def _instance_id(self) -> str | None:
        # Static membership is per group: two workers of one process must not claim one identity.
        instance = self._settings.kafka_group_instance_id
        identity = f"{instance}-{self._subscription.group_id}"
        return None if not instance or identity in self._taken else identity

    async def fetch(self, limit: int, wait: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """The client's own records as they are, a copy of each would cost more than a no-op handler.

        The keys are the client's named tuples; they equal and hash like ours.
        """
        if self._broken is not None:
            raise self._broken
        self._try_again()
        wanted = self._unpaused() if self._paused else ()
        if self._paused and not wanted:
            await asyncio.sleep(wait)  # no partition at all would mean all of them to the client
            return {}
        try:
            async with asyncio.timeout(wait + _FETCH_SLACK):
                # One record, and no more: the client empties its buffer of one partition before it looks at the next.
                first = await self._client.getmany(*wanted, timeout_ms=_ms(wait), max_records=1)
        except asyncio.CancelledError as error:
            raise _whose(error) from error
        except TimeoutError:
            return {}
        except (kafka_errors.OffsetOutOfRangeError, kafka_errors.NoOffsetForPartitionError) as error:
            await self._recover(error)
            return {}
        except Exception as error:
            if (found := found_in(error)) is None:
                raise self._as_fetch_error(error) from error
            self._stand_still(found, error)
            first = {source: records for source, records in found.before.items() if records}
        # Nothing awaits from here on: what was taken before a rebalance must not be handed out after it.
        fetched = self._share_out(first, limit)
        self._choose_patience(left=bool(self._buffer.sources()))
        return fetched

    def _share_out(
        self, first: Mapping[Any, Sequence[Record]], limit: int
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """*first* and what else the client has at hand, an equal part of each partition."""
        if not first:
            return {}
        sources = [source for source in self._buffer.sources() if source not in self._paused]
        sources.sort(key=lambda source: self._served.get(source, 0))
        size = max(1, self._settings.max_in_flight_bytes // _PARTS // max(1, len(sources)))
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
            if (found := found_in(error)) is None:
                # What was taken already is handed out; the next fetch tells this.
                self._break(self._as_fetch_error(error))
                return ()
            self._stand_still(found, error)
            return found.before.get(source, ())

    async def _recover(self, error: kafka_errors.KafkaError) -> None:
        """Where a partition has no valid position, give it one; if the broker does not say which, it is asked again: the
        client fails once more."""
        try:
            await self._positions.recover(error)
        except asyncio.CancelledError as cancelled:
            raise _whose(cancelled) from cancelled
        except (kafka_errors.KafkaError, TimeoutError) as reason:
            logger.debug("no position: %s", describe(reason))

    def _as_fetch_error(self, error: Exception) -> BrokerError:
        identity = self._instance_id()
        reason = why_not_in(error, self._subscription.group_id, identity, self._settings)
        if reason is not None:
            if isinstance(reason, IdentityTaken) and identity is not None:
                self._taken.add(identity)
            return reason
        if isinstance(error, kafka_errors.KafkaError) and not isinstance(error, UNREADABLE):
            return as_broker_error(error, self._settings)
        # The client has dropped what it parsed before these bytes and moved on, so going on with this member would lose
        # records.
        return UnreadableRecords(describe(error))

    def _stand_still(self, found: Unreadable, error: Exception) -> None:
        """Where the bytes are that cannot be parsed. The others go on."""
        self._client.seek(found.source, found.offset)
        self._client.pause(found.source)
        self._stuck[found.source] = asyncio.get_running_loop().time()
        logger.error(
            "%s stands still at offset %d: the client cannot parse what the broker stores there (%s). Nothing is lost, the "
            "other partitions go on, and it is tried again every %g s; %s",
            TopicPartition(*found.source),
            found.offset,
            describe(error),
            _STUCK,
            remedy(error),
            extra={"action": "unreadable", **found.source._asdict(), "offset": found.offset},
        )

    def _try_again(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [source for source, since in self._stuck.items() if now - since >= _STUCK]
        for source in due:
            del self._stuck[source]
        self._client.resume(*self._client.assignment().intersection(due))

    def _choose_patience(self, *, left: bool) -> None:
        """Of the client's next requests for records, by whether we have *left* some with it.

        A partition whose records it still has is not in its request, and a broker has one request under way: where the
        other partitions are empty, the busy one would wait half a second for them, again and again.
        """
        now = asyncio.get_running_loop().time()
        self._left_at = now if left else self._left_at
        patience = _BRIEFLY if now - self._left_at < _LATELY else _PATIENTLY
        self._client._fetcher._fetch_max_wait_ms = patience  # noqa: SLF001 - made for one value only

    def _unpaused(self) -> tuple[Any, ...]:
        return tuple(source for source in self._client.assignment() if source not in self._paused)

    async def keep_alive(self) -> None:
        """Reset the client's own poll clock: a fetch in which every partition is paused returns nothing."""
        mine = self._client.assignment()
        self._client.pause(*mine)
        try:
            with self._in_our_words():
                await self._client.getmany(timeout_ms=0)
        finally:
            self._client.resume(
                *(source for source in mine & self._client.assignment() if source not in self._stuck)
            )

    def pause(self, sources: Sequence[TopicPartition]) -> None:
        """By asking for the other partitions only. The client's own pause throws away what it has prefetched,
        so a partition that pauses and resumes all the time would be fetched again and again."""
        self._paused.update(sources)

    def resume(self, sources: Sequence[TopicPartition]) -> None:
        self._paused.difference_update(sources)

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Bounded: inside, the client repeats a commit for as long as no coordinator can be found."""
        todo = {
            ClientPartition(*source): OffsetAndMetadata(commit.offset, commit.metadata)
            for source, commit in offsets.items()
        }
        seconds = self._settings.kafka_commit_timeout
        try:
            async with asyncio.timeout(seconds):
                await self._client.commit(todo)
        except asyncio.CancelledError as error:
            raise _whose(error) from error
        except TimeoutError as error:
            raise BrokerError(
                f"the group coordinator did not take the commit within {seconds:g} s"
            ) from error
        except kafka_errors.CommitFailedError as error:
            # Its own text is a paragraph about poll(), which nobody here has called.
            raise CommitRefused("the group has rebalanced and given the partitions to others") from error
        except kafka_errors.IllegalStateError as error:  # the partition is not assigned (any more)
            raise CommitRefused(_first_line(error)) from error
        except kafka_errors.KafkaError as error:
            if is_rebalance(error):
                raise CommitRefused(_first_line(error)) from error
            raise as_broker_error(error, self._settings) from error

    async def end_offsets(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        with self._in_our_words():
            found = await self._client.end_offsets([ClientPartition(*source) for source in sources])
        return {TopicPartition(*source): offset for source, offset in found.items()}

    async def positions(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._positions.known(source for source in sources if source not in self._stuck)

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        """Raises BrokerError for what the client raises inside."""
        try:
            yield
        except asyncio.CancelledError as error:
            raise _whose(error) from error
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error

    async def close(self) -> None:
        client, self._client = self._client, None
        try:
            if client is not None:
                await stop(client)
        finally:
            if self._only_member is not None:
                self._only_member.release()

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Called by the client. It swallows what is raised here, so the next fetch raises it instead."""
        if not revoked or self._revoked is None:
            return
        try:
            await self._revoked(frozenset(TopicPartition(*source) for source in revoked))
        except Exception as error:
            self._break(error)

    async def on_partitions_assigned(self, assigned: set[Any]) -> None:
        """Called by the client, before it can return records of the new assignment.

        The client starts fetching while this runs. Pausing comes first and without an await, so no record can
        be returned before the commits (and what travels in their metadata) are known.
        """
        client = self._client
        if client is None:
            return
        client.pause(*assigned)
        self._paused.clear()
        self._stuck.clear()
        self._served.clear()
        try:
            commits = await self._positions.start(assigned)
            if self._assigned is not None:
                self._assigned(commits)
            client.resume(*assigned)
        except Exception as error:
            self._break(error)

    def _break(self, error: Exception) -> None:
        self._broken = (
            error
            if isinstance(error, BrokerError)
            else BrokerError(f"a rebalance failed: {error!r}; rejoining")
        )
        self._broken.__cause__ = error


def _whose(error: asyncio.CancelledError) -> BaseException:
    """*error* itself if this task is being cancelled. Else the client cancelled something that it shares between
    callers (a lookup that another call gave up on); to us that is a failed call."""
    return error if stopping_us(error) else BrokerError("the Kafka client gave the call up; it is made again")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0]
