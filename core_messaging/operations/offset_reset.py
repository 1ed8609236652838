"""Move the committed offsets of a worker's group by hand, while the group has no members."""

from __future__ import annotations

from collections.abc import Sequence

from core_messaging.config import WorkerConfig
from core_messaging.errors import ConfigurationError
from core_messaging.kafka.cluster_lookup import cluster_lookup
from core_messaging.kafka.group_offsets import reading
from core_messaging.kafka.offset_writer import commit_for_empty_group
from core_messaging.operations.matching_topics import with_matching_topics
from core_messaging.rules.diagnosis import GroupFacts
from core_messaging.rules.offset_reset_plan import Reset, ResetTarget, plan_reset
from core_messaging.settings import Settings
from core_messaging.text.wording import counted

SHOWN = 5  # members that an error names


async def plan_for(
    settings: Settings,
    worker: WorkerConfig,
    target: ResetTarget,
    topic: str | None = None,
    partitions: Sequence[int] = (),
) -> list[Reset]:
    """What a reset of *worker*'s group to *target* would do; changes nothing.

    *topic*, *partitions*: only these; None and empty: all of the worker.

    Raises ConfigurationError where the group has members or nothing is left of *topic* and *partitions*; TopicMissing,
    BrokerUnreachable, BrokerError.
    """
    (worker,) = await with_matching_topics(settings, [worker])
    await _require_empty(settings, worker)
    async with reading(settings) as kafka:
        chosen = [
            standing
            for standing in await kafka.partition_offsets(worker.group_id, worker.input_topics)
            if topic in (None, standing.source.topic)
            and (not partitions or standing.source.partition in partitions)
        ]
        if not chosen:
            raise ConfigurationError(f"{worker.name} reads no such partition; it reads {worker.inputs}")
        at_time = {}
        if target.time is not None:
            sources = [standing.source for standing in chosen]
            at_time = await kafka.offsets_at(sources, max(0, round(target.time.timestamp() * 1000)))
    return plan_reset(chosen, target, at_time)


async def apply_resets(settings: Settings, worker: WorkerConfig, resets: Sequence[Reset]) -> None:
    """Commit *resets* in one request. Raises BrokerError where the group has a member by now: nothing is changed then."""
    await commit_for_empty_group(settings, worker.group_id, {each.source: each.after for each in resets})


async def _require_empty(settings: Settings, worker: WorkerConfig) -> None:
    async with cluster_lookup(settings) as lookup:
        group = await lookup.group(worker.group_id)
    if group is not None and group.members:
        raise ConfigurationError(
            f"group {group.group_id} has {counted(len(group.members), 'member')}: {_named(group)}; nothing was changed. "
            f"Stop every process that runs {worker.name}, and try again"
        )


def _named(group: GroupFacts) -> str:
    names = [f"{member.client_id} at {member.host}" for member in group.members]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
