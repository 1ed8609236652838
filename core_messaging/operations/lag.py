"""Ask Kafka how far the groups of workers are behind. It reads only: it joins no group and commits nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from core_messaging.config import WorkerConfig
from core_messaging.errors import TopicMissing
from core_messaging.kafka.group_offsets import KafkaOffsets, reading
from core_messaging.operations.matching_topics import with_matching_topics
from core_messaging.records import TopicPartition
from core_messaging.rules.group_progress import Progress, progress_of
from core_messaging.rules.lag import GroupLag, LagSample, group_lag
from core_messaging.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerLag:
    """The lag of one worker's group; ``lag`` is None where an input topic is missing, and ``missing`` names it."""

    worker: WorkerConfig
    lag: GroupLag | None
    missing: tuple[str, ...] = ()


async def watch_lag(
    settings: Settings, workers: Sequence[WorkerConfig], interval: float
) -> AsyncGenerator[list[WorkerLag], None]:
    """Yield the lag of each of *workers* every *interval* seconds, for as long as it is asked.

    The first answer comes at once and has no rates. Each later one has the rates since the answer before.

    Raises BrokerUnreachable, BrokerRefused, BrokerError.
    """
    earlier: dict[int, LagSample] = {}
    async with reading(settings) as kafka:
        while True:
            # Each time anew: a pattern may match more topics by then.
            yield await _lag_of(kafka, await with_matching_topics(settings, workers), earlier)
            await asyncio.sleep(interval)


async def lag_now(settings: Settings, workers: Sequence[WorkerConfig]) -> list[WorkerLag]:
    """Return the lag of each of *workers*, without rates. Raises BrokerUnreachable, BrokerRefused, BrokerError."""
    async with reading(settings) as kafka:
        return await _lag_of(kafka, await with_matching_topics(settings, workers), {})


async def _lag_of(
    kafka: KafkaOffsets, workers: Sequence[WorkerConfig], earlier: dict[int, LagSample]
) -> list[WorkerLag]:
    """*earlier*: index of a worker -> its sample before, for the rates; replaced by the new one."""
    found = []
    for index, config in enumerate(workers):
        try:
            sample = await _sample(kafka, config)
        except TopicMissing as error:
            found.append(WorkerLag(config, None, tuple(error.topics)))
            continue
        found.append(WorkerLag(config, group_lag(sample, earlier.get(index))))
        earlier[index] = sample
    return found


async def _sample(kafka: KafkaOffsets, config: WorkerConfig) -> LagSample:
    partition_offsets = await kafka.partition_offsets(config.group_id, config.input_topics)
    at = time.time()
    progress = [progress_of(offsets) for offsets in partition_offsets]
    begins = {offsets.source: offsets.begin for offsets in partition_offsets}
    return LagSample(at, progress, await _oldest(kafka, progress, begins))


async def _oldest(
    kafka: KafkaOffsets, partitions: Sequence[Progress], begins: dict[TopicPartition, int]
) -> dict[TopicPartition, float]:
    """When the first unfinished record of each partition was produced. A record without a timestamp says nothing."""
    found = {}
    for progress in partitions:
        if not progress.lag:
            continue
        begin = begins[progress.source]
        record = await kafka.record(progress.source, max(begin, progress.committed or begin))
        if record is not None and record.timestamp >= 0:
            found[progress.source] = record.timestamp / 1000
    return found
