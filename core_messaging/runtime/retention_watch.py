"""Warns before Kafka deletes messages of a paused partition that nobody has read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from core_messaging.errors import BrokerError
from core_messaging.kafka.group_offsets import reading
from core_messaging.kafka.topic_admin import topic_admin
from core_messaging.records import TopicPartition
from core_messaging.rules.letter_groups import retention_of
from core_messaging.rules.paused_retention import PausedPartition, at_risk, old_before, paused_partitions
from core_messaging.settings import Settings
from core_messaging.snapshot import Snapshot
from core_messaging.text.wording import duration

LOOKS = 6  # intervals of the state topic between two looks: a minute as a rule

logger = logging.getLogger("core_messaging.worker")


class RetentionWatch:
    """``at_risk``: the paused partitions whose first unread message is soon deleted, as of the last look."""

    def __init__(self, settings: Settings, snapshot: Callable[[], Snapshot], interval: float) -> None:
        self._settings = settings
        self._snapshot = snapshot
        self._interval = LOOKS * interval
        self._unknown = False  # it was told that the retention cannot be looked up
        self.at_risk: Sequence[PausedPartition] = ()

    async def watch_forever(self) -> None:
        """Look until cancelled. Where nothing is paused, nothing is asked."""
        while True:
            await asyncio.sleep(self._interval)
            paused = paused_partitions(self._snapshot().workers)
            try:
                found = await self._look(paused) if paused else []
            except BrokerError as error:
                self._say_unknown(error)
                continue
            self.at_risk = tuple(found)

    async def _look(self, paused: Sequence[PausedPartition]) -> list[PausedPartition]:
        retentions = await self._retentions(sorted({each.source.topic for each in paused}))
        found: list[PausedPartition] = []
        async with reading(self._settings) as offsets:
            for topic, retention in retentions.items():
                mine = [each for each in paused if each.source.topic == topic]
                limit = int(1000 * old_before(retention, time.time()))
                found += at_risk(mine, await offsets.offsets_at(_sources(mine), limit))
        for each in found:
            self._say(each, retentions[each.source.topic])
        return found

    async def _retentions(self, topics: Sequence[str]) -> Mapping[str, float]:
        async with topic_admin(self._settings) as admin:
            described = await admin.describe(topics)
        found = {topic: retention_of(actual.config) for topic, actual in described.items()}
        return {topic: retention for topic, retention in found.items() if retention is not None}

    def _say(self, each: PausedPartition, retention: float) -> None:
        """Once for each partition, as long as it is at risk."""
        if any((each.worker, each.source) == (told.worker, told.source) for told in self.at_risk):
            return
        logger.warning(
            "%s: %s is paused, and Kafka soon deletes its oldest unread message (offset %d): the topic keeps messages for %s. "
            "Resume it (`core kafka resume`), or raise retention.ms of the topic",
            each.worker,
            each.source,
            each.unread,
            duration(retention),
            extra={"action": "retention near", "worker": each.worker},
        )

    def _say_unknown(self, error: BrokerError) -> None:
        if not self._unknown:
            logger.info(
                "whether Kafka soon deletes messages of paused partitions is not known: %s",
                error,
                extra={"action": "retention unknown"},
            )
        self._unknown = True


def _sources(paused: Sequence[PausedPartition]) -> list[TopicPartition]:
    return sorted({each.source for each in paused})
