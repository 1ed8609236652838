"""Reads the offsets and commits of consumer groups. Joins no group and commits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import aiokafka
from aiokafka import errors as kafka_errors

from core_messaging.errors import TopicMissing
from core_messaging.kafka.client_lifecycle import admin_of, reader_of
from core_messaging.kafka.errors import UNREADABLE, as_broker_error
from core_messaging.kafka.parse_errors import unparsable_in
from core_messaging.kafka.topic_lookup import look_up_topics
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.group_progress import PartitionOffsets
from core_messaging.settings import Settings

Result = TypeVar("Result")
READ_TIMEOUT = 5_000  # milliseconds that the fetch of one record may take
TRIES, RETRY_AFTER = 20, 0.5  # tries to reach the group's coordinator, seconds between two of them
_COORDINATOR_NOT_READY = (
    kafka_errors.GroupCoordinatorNotAvailableError,
    kafka_errors.GroupLoadInProgressError,
    kafka_errors.NotCoordinatorForGroupError,
)


async def once_coordinator_is_ready(ask: Callable[[], Awaitable[Result]]) -> Result:
    """Ask a group's coordinator; ask again while it is not ready, for about 10 s. Raises KafkaError.

    A cluster creates its topic of offsets with the first group, and has no coordinator before. A coordinator that has moved
    or has just started does not know the group yet.
    """
    for _ in range(TRIES):
        with suppress(*_COORDINATOR_NOT_READY):
            return await ask()
        await asyncio.sleep(RETRY_AFTER)
    return await ask()


class KafkaOffsets:
    """Reads offsets, commits and single records. Opened by ``reading(settings)``."""

    def __init__(self, settings: Settings, admin: Any, client: Any) -> None:
        self._settings = settings
        self._admin = admin
        self._client = client

    async def partition_offsets(self, group_id: str, topics: Sequence[str]) -> list[PartitionOffsets]:
        """Return where *group_id* is in every partition of *topics*, in order. Raises TopicMissing, BrokerError."""
        if not topics:  # of a pattern that matches none
            return []
        try:
            partitions = await self._partitions(topics)
            self._client.assign(partitions)
            begins = await self._client.beginning_offsets(partitions)
            ends = await self._client.end_offsets(partitions)
            commits = await self._commits(group_id, partitions)
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        return [
            PartitionOffsets(TopicPartition(*each), begins[each], ends[each], _committed(commits, each))
            for each in partitions
        ]

    async def _partitions(self, topics: Sequence[str]) -> list[Any]:
        found = await look_up_topics(self._admin, topics)
        if found.missing:
            raise TopicMissing(found.missing, self._settings.kafka_bootstrap_servers)
        return [
            aiokafka.TopicPartition(topic, number) for topic in topics for number in found.partitions[topic]
        ]

    async def _commits(self, group_id: str, partitions: Sequence[Any]) -> Mapping[Any, Any]:
        return await once_coordinator_is_ready(lambda: self._list_commits(group_id, partitions))

    async def _list_commits(self, group_id: str, partitions: Sequence[Any]) -> Mapping[Any, Any]:
        return dict(await self._admin.list_consumer_group_offsets(group_id, partitions=partitions))

    async def offsets_at(self, sources: Sequence[TopicPartition], time: int) -> dict[TopicPartition, int]:
        """Return the first offset of each partition whose record was produced at *time* (milliseconds since the epoch) or later.

        A partition without such a record is left out. Raises BrokerError.
        """
        asked = {aiokafka.TopicPartition(*source): time for source in sources}
        try:
            found = await self._client.offsets_for_times(asked)
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        return {TopicPartition(*each): at.offset for each, at in found.items() if at is not None}

    async def record(self, source: TopicPartition, offset: int) -> Record | None:
        """Return the record at *offset*; wait at most 5 seconds for it.

        None: compaction or retention has removed it, there never was a record at this offset, or it cannot be parsed.

        Raises BrokerError.
        """
        partition = aiokafka.TopicPartition(*source)
        try:
            self._client.seek(partition, offset)
            found = await self._client.getmany(partition, timeout_ms=READ_TIMEOUT, max_records=1)
        except (kafka_errors.OffsetOutOfRangeError, *UNREADABLE):
            return None
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        except Exception as error:
            if unparsable_in(error) is None:
                raise
            return None
        records: list[Record] = found.get(partition, [])
        return next((record for record in records if record.offset == offset), None)


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[KafkaOffsets]:
    """Provide KafkaOffsets that are connected inside the block. Raises BrokerUnreachable, BrokerRefused."""
    options = {"auto_offset_reset": "none", "isolation_level": settings.kafka_isolation_level}
    async with admin_of(settings) as admin, reader_of(settings, **options) as client:
        yield KafkaOffsets(settings, admin, client)


def _committed(commits: Mapping[Any, Any], source: Any) -> Committed | None:
    found = commits.get(source)
    if found is None or found.offset < 0:
        return None
    return Committed(found.offset, found.metadata or "")
