"""Look at what a person checks first when something is wrong: cluster, topics, groups, settings, machine.

It reads only: it joins no group, commits nothing, makes no topic.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from core_messaging.config import WorkerConfig
from core_messaging.errors import BrokerError
from core_messaging.kafka.cluster_lookup import ClusterFacts, ClusterLookup, cluster_lookup
from core_messaging.kafka.topic_admin import topic_admin
from core_messaging.operations.dead_letters import Queue, expiries, list_dead_letters
from core_messaging.operations.fleet import look_at_fleet
from core_messaging.operations.lag import lag_now
from core_messaging.operations.matching_topics import pattern_in_words, with_matching_topics
from core_messaging.plugins.redaction import nothing_hidden
from core_messaging.rules.diagnosis import (
    Finding,
    Level,
    TimeOuts,
    WorkerTopics,
    attempt_findings,
    clock_findings,
    group_findings,
    letter_findings,
    machine_findings,
    security_findings,
    time_out_findings,
    topic_findings,
)
from core_messaging.rules.permissions import group_permission_findings, permission_findings
from core_messaging.settings import Settings
from core_messaging.text.wording import counted


async def examine(settings: Settings, workers: Sequence[WorkerConfig]) -> list[Finding]:
    """Every check over *workers* and their cluster, in the order in which a person reads them.

    A cluster that does not answer is a finding, and the last one: nothing else can be asked then.
    """
    found = [*security_findings(settings.kafka_security_protocol, settings.kafka_bootstrap_servers)]
    found += machine_findings(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        found += await _of_cluster(settings, workers)
    except BrokerError as error:
        found += time_out_findings(_time_outs(settings, None))
        found.append(
            Finding("broker", Level.PROBLEM, str(error), "see the line above; nothing else was asked")
        )
    return found


async def _of_cluster(settings: Settings, workers: Sequence[WorkerConfig]) -> list[Finding]:
    found = []
    async with cluster_lookup(settings) as lookup:
        cluster = await lookup.cluster()
        found.append(_reached(settings, cluster))
        found += time_out_findings(_time_outs(settings, cluster))
        workers = await with_matching_topics(settings, workers)
        found.extend(_of_patterns(workers))
        for worker in workers:
            found += await _of_group(lookup, worker)
        operations = await lookup.may_on_topics(_topics_of(workers))
    used = [_topics(worker) for worker in workers]
    for each in used:
        found += [*permission_findings(each, operations), *attempt_findings(each, settings.shutdown_timeout)]
    found += await _of_topics(settings, workers, cluster)
    return [*found, *await _of_letters(settings, workers), *await _of_clocks(settings)]


async def _of_group(lookup: ClusterLookup, worker: WorkerConfig) -> list[Finding]:
    group = await lookup.group(worker.group_id)
    denied = group_permission_findings(
        worker.group_id, worker.name, await lookup.may_on_group(worker.group_id)
    )
    if group is not None:
        return [*denied, *group_findings(group, worker.name, worker.input_topics)]
    text = "the broker does not tell who is in it: no such request, or no right to describe the group"
    return [*denied, Finding(f"group {worker.group_id}", Level.UNKNOWN, text)]


def _topics_of(workers: Sequence[WorkerConfig]) -> list[str]:
    return list(dict.fromkeys(name for worker in workers for name in worker.topics))


def _topics(worker: WorkerConfig, oldest: float | None = None) -> WorkerTopics:
    return WorkerTopics(
        worker.name, worker.input_topics, worker.output_topic, worker.dlq_topics, oldest, worker.timeout
    )


def _of_patterns(workers: Sequence[WorkerConfig]) -> Iterator[Finding]:
    """What each pattern matches."""
    for worker in workers:
        if words := pattern_in_words(worker):
            subject = f"pattern of {worker.name}"
            if worker.input_topics:
                yield Finding(subject, Level.OK, words)
            else:
                yield Finding(subject, Level.WARNING, words, "create a topic whose whole name matches")


async def _of_topics(
    settings: Settings, workers: Sequence[WorkerConfig], cluster: ClusterFacts
) -> list[Finding]:
    try:
        async with topic_admin(settings) as admin:
            topics = await admin.describe(_topics_of(workers))
    except BrokerError as error:
        remedy = "allow Describe and DescribeConfigs on the topics of the workers to the user of this client"
        return [
            Finding("topics", Level.UNKNOWN, f"their partitions and configs are not told: {error}", remedy)
        ]
    ages = await _ages(settings, workers)
    return [*topic_findings([_topics(w, ages.get(w.name)) for w in workers], topics, cluster.brokers)]


async def _of_letters(settings: Settings, workers: Sequence[WorkerConfig]) -> list[Finding]:
    """Open dead letters that retention removes soon. Queues that cannot be read were told with their topics."""
    queues = [Queue(topic) for topic in dict.fromkeys(topic for w in workers for topic in w.dlq_topics)]
    found: list[Finding] = []
    for queue in queues:
        with suppress(BrokerError):
            listing = await list_dead_letters(settings, [queue], redact=nothing_hidden)
            for expiry in await expiries(settings, listing.groups):
                found += letter_findings(expiry.topic, expiry.at, time.time())
    return found


async def _of_clocks(settings: Settings) -> list[Finding]:
    """The clocks of the processes that have said in the state topic how they are."""
    if settings.kafka_control_topic is None:
        return []
    try:
        fleet = await look_at_fleet(settings)
    except BrokerError:
        return []
    now = time.time()
    return [finding for each in fleet.processes for finding in clock_findings(each.address, each.at - now)]


async def _ages(settings: Settings, workers: Sequence[WorkerConfig]) -> dict[str, float]:
    """Worker -> the age of its oldest unfinished message in seconds, where it is known."""
    try:
        rows = await lag_now(settings, workers)
    except BrokerError:  # what this client may not do is told elsewhere
        return {}
    return {
        row.worker.name: row.lag.behind for row in rows if row.lag is not None and row.lag.behind is not None
    }


def _reached(settings: Settings, cluster: ClusterFacts) -> Finding:
    count = counted(cluster.brokers, "broker")
    name = cluster.cluster_id or "without an id"
    text = f"{settings.kafka_bootstrap_servers} answers: cluster {name}, {count}, {settings.kafka_security_protocol}"
    return Finding("broker", Level.OK, text)


def _time_outs(settings: Settings, cluster: ClusterFacts | None) -> TimeOuts:
    least, longest = (
        (None, None) if cluster is None or cluster.session_limits is None else cluster.session_limits
    )
    return TimeOuts(
        settings.kafka_session_timeout,
        settings.kafka_heartbeat_interval,
        settings.kafka_rebalance_timeout,
        settings.revoke_timeout,
        settings.shutdown_timeout,
        least,
        longest,
    )
