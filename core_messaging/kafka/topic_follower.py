"""Reads a topic from its beginning and goes on with what comes. It joins no group and commits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors

from core_messaging.errors import TopicMissing
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.client_lifecycle import admin_of, connect, stop
from core_messaging.kafka.errors import UNREADABLE, as_broker_error
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
        client = await connect(self._settings, self._client)
        try:
            client.assign(partitions)
            ends = await client.end_offsets(partitions)
            for each in partitions:
                client.seek(each, self.position.get(each.partition, 0))
            while True:
                await self._look(client, partitions)
                if all(self.position[each.partition] >= ends[each] for each in partitions):
                    caught_up.set()
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error
        finally:
            await stop(client)

    async def _look(self, client: Any, partitions: Sequence[Any]) -> None:
        try:
            found = await client.getmany(timeout_ms=WAIT, max_records=RECORDS)
        except UNREADABLE:  # whoever may write the topic may write what cannot be parsed; it is passed
            for each in partitions:
                client.seek(each, await client.position(each) + 1)
            return
        except kafka_errors.OffsetOutOfRangeError:  # compacted away, or the topic was made anew
            await client.seek_to_beginning(*partitions)
            return
        for records in found.values():
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

    def _client(self) -> Any:
        return aiokafka.AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=LARGEST,
            **client_options(self._settings, self._settings.kafka_client_id),
        )
