"""Look at what a person checks first when something is wrong: cluster, topics, groups, settings, machine.

It reads only: it joins no group, commits nothing, makes no topic.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence

from core_messaging.config import WorkerConfig
from core_messaging.errors import BrokerError
from core_messaging.kafka.cluster_lookup import ClusterFacts, cluster_lookup
from core_messaging.kafka.topic_admin import topic_admin
from core_messaging.operations.lag import lag_now
from core_messaging.operations.matching_topics import pattern_in_words, with_matching_topics
from core_messaging.rules.diagnosis import (
    Finding,
    Level,
    TimeOuts,
    WorkerTopics,
    group_findings,
    machine_findings,
    security_findings,
    time_out_findings,
    topic_findings,
)
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
            group = await lookup.group(worker.group_id)
            if group is None:
                text = "the broker does not tell who is in it: no such request, or no right to describe the group"
                found.append(Finding(f"group {worker.group_id}", Level.UNKNOWN, text))
            else:
                found += group_findings(group, worker.name, worker.input_topics)
    return found + await _of_topics(settings, workers, cluster)


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
    names = list(dict.fromkeys(name for worker in workers for name in worker.topics))
    async with topic_admin(settings) as admin:
        topics = await admin.describe(names)
    ages = await _ages(settings, workers)
    facts = [
        WorkerTopics(w.name, w.input_topics, w.output_topic, w.dlq_topics, ages.get(w.name)) for w in workers
    ]
    return [*topic_findings(facts, topics, cluster.brokers)]


async def _ages(settings: Settings, workers: Sequence[WorkerConfig]) -> dict[str, float]:
    """Worker -> the age of its oldest unfinished message in seconds, where it is known."""
    rows = await lag_now(settings, workers)
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
