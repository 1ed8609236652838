"""Reads a topic from its beginning and goes on with what comes. It joins no group and commits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors

from core_messaging.errors import TopicMissing
from core_messaging.kafka.client_lifecycle import admin_of, reader_of
from core_messaging.kafka.errors import as_broker_error
from core_messaging.kafka.parse_errors import unparsable_in
from core_messaging.kafka.topic_lookup import look_up_topics
from core_messaging.records import Record
from core_messaging.settings import Settings

WAIT = 500  # milliseconds that one look waits for records
RECORDS = 500  # of one look
LARGEST = 1024 * 1024  # bytes that one fetch of a partition brings

Take = Callable[[Sequence[Record]], None]


class TopicFollower:
    """Follows one topic. ``position``: partition -> the offset up to which all records were taken."""

    def __init__(self, settings: Settings, topic: str, take: Take) -> None:
        """*take* is called with the records of each look, those of one partition in order."""
        self._settings = settings
        self._topic = topic
        self._take = take
        self.position: dict[int, int] = {}

    async def follow(self, caught_up: asyncio.Event) -> None:
        """Read until cancelled. Sets *caught_up* when all that was there at the start is taken.

        Raises TopicMissing, BrokerUnreachable, BrokerRefused, BrokerError.
        """
        partitions = await self._partitions()
        options = {
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
            "max_partition_fetch_bytes": LARGEST,
        }
        try:
            async with reader_of(self._settings, **options) as client:
                await self._follow(client, partitions, caught_up)
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error

    async def _follow(self, client: Any, partitions: Sequence[Any], caught_up: asyncio.Event) -> None:
        client.assign(partitions)
        ends = await client.end_offsets(partitions)
        for each in partitions:
            client.seek(each, self.position.get(each.partition, 0))
        while True:
            await self._look(client, partitions)
            if all(self.position[each.partition] >= ends[each] for each in partitions):
                caught_up.set()

    async def _look(self, client: Any, partitions: Sequence[Any]) -> None:
        found: Mapping[Any, Sequence[Record]]
        try:
            found = await client.getmany(timeout_ms=WAIT, max_records=RECORDS)
        except kafka_errors.OffsetOutOfRangeError:  # compacted away, or the topic was made anew
            await client.seek_to_beginning(*partitions)
            return
        except Exception as error:
            # Whoever may write the topic may write what cannot be parsed. It is passed.
            if (unreadable := unparsable_in(error)) is None:
                raise
            client.seek(unreadable.source, unreadable.offset + 1)
            found = unreadable.before
        for records in found.values():
            if records:
                self._take(records)
        for each in partitions:
            self.position[each.partition] = await client.position(each)

    async def _partitions(self) -> list[Any]:
        async with admin_of(self._settings) as admin:
            try:
                found = await look_up_topics(admin, [self._topic])
            except kafka_errors.KafkaError as error:
                raise as_broker_error(error, self._settings) from error
        if self._topic not in found.partitions:
            raise TopicMissing([self._topic], self._settings.kafka_bootstrap_servers)
        return [aiokafka.TopicPartition(self._topic, number) for number in found.partitions[self._topic]]
