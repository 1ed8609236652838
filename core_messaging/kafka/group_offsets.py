"""How far groups are, asked of real Kafka: reads only, joins no group and commits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors

from core_messaging.errors import TopicMissing
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.client_lifecycle import admin_of, connect
from core_messaging.kafka.errors import UNREADABLE, as_broker_error
from core_messaging.kafka.parse_errors import found_in
from core_messaging.kafka.topic_lookup import look_at
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.group_progress import Standing
from core_messaging.settings import Settings

READ = 5_000  # milliseconds that one record may take
TRIES, AGAIN = 20, 0.5  # seconds between two tries to find the group's coordinator
_NOT_YET = (
    kafka_errors.GroupCoordinatorNotAvailableError,
    kafka_errors.GroupLoadInProgressError,
    kafka_errors.NotCoordinatorForGroupError,
)


class KafkaOffsets:
    """Open by ``reading(settings)``."""

    def __init__(self, settings: Settings, admin: Any, client: Any) -> None:
        self._settings = settings
        self._admin = admin
        self._client = client

    async def standings(self, group_id: str, topics: Sequence[str]) -> list[Standing]:
        """Every partition of *topics*, in order. Raises TopicMissing, BrokerError."""
        try:
            partitions = await self._partitions(topics)
            self._client.assign(partitions)
            begins = await self._client.beginning_offsets(partitions)
            ends = await self._client.end_offsets(partitions)
            commits = await self._commits(group_id, partitions)
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        return [
            Standing(TopicPartition(*each), begins[each], ends[each], _committed(commits, each))
            for each in partitions
        ]

    async def _partitions(self, topics: Sequence[str]) -> list[Any]:
        found = await look_at(self._admin, topics)
        if found.others:
            raise TopicMissing(found.others, self._settings.kafka_bootstrap_servers)
        return [
            aiokafka.TopicPartition(topic, number) for topic in topics for number in found.partitions[topic]
        ]

    async def _commits(self, group_id: str, partitions: Sequence[Any]) -> Mapping[Any, Any]:
        """A cluster makes its topic of offsets with the first group; until then nobody coordinates. And a coordinator that
        has moved or has just started cannot tell yet."""
        for _ in range(TRIES):
            with suppress(*_NOT_YET):
                return await self._told_commits(group_id, partitions)
            await asyncio.sleep(AGAIN)
        return await self._told_commits(group_id, partitions)

    async def _told_commits(self, group_id: str, partitions: Sequence[Any]) -> Mapping[Any, Any]:
        return dict(await self._admin.list_consumer_group_offsets(group_id, partitions=partitions))

    async def record(self, source: TopicPartition, offset: int) -> Record | None:
        """The record at *offset*; None where it is gone (compaction, retention), was never one, or cannot be parsed."""
        partition = aiokafka.TopicPartition(*source)
        try:
            self._client.seek(partition, offset)
            found = await self._client.getmany(partition, timeout_ms=READ, max_records=1)
        except (kafka_errors.OffsetOutOfRangeError, *UNREADABLE):
            return None
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        except Exception as error:
            if found_in(error) is None:
                raise
            return None
        records: list[Record] = found.get(partition, [])
        return next((record for record in records if record.offset == offset), None)


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[KafkaOffsets]:
    """Connected inside the block. Raises BrokerUnreachable, BrokerRefused."""
    async with admin_of(settings) as admin:
        client = await connect(settings, lambda: _client(settings))
        try:
            yield KafkaOffsets(settings, admin, client)
        finally:
            await client.stop()


def _client(settings: Settings) -> Any:
    return aiokafka.AIOKafkaConsumer(
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=settings.kafka_isolation_level,
        **client_options(settings, settings.kafka_client_id),
    )


def _committed(commits: Mapping[Any, Any], source: Any) -> Committed | None:
    found = commits.get(source)
    if found is None or found.offset < 0:
        return None
    return Committed(found.offset, found.metadata or "")
