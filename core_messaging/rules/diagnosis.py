"""What is wrong, or will go wrong, with settings, topics and groups. Pure: each rule is told the facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from core_messaging.rules.paused_retention import NEARLY
from core_messaging.rules.topic_plan import ActualTopic
from core_messaging.text.wording import duration

POD_GRACE = 30.0  # seconds between the signal and the kill of a pod, by default
SAFE_REPLICAS = 2
FEW_FILES = 1_024  # file descriptors; a client holds one connection to each broker, a handler some of its own
SOON = 24 * 3600.0  # seconds before retention may remove an open dead letter
CLOCK_LIMIT = 2.0  # seconds that two clocks may differ


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of the doctor. ``check`` names what was looked at; ``remedy`` is empty where nothing is to be done."""

    check: str
    level: Level
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """Seconds, by the names of their settings; the last two are limits of the broker, None where they are not known."""

    session_timeout: float
    heartbeat_interval: float
    rebalance_timeout: float
    revoke_timeout: float
    shutdown_timeout: float
    least_session: float | None = None
    longest_session: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerTopics:
    """The topics of one worker by name; ``oldest`` is the age in seconds of its oldest unfinished message.

    ``timeout``: seconds that one attempt may take, None: any.
    """

    worker: str
    inputs: tuple[str, ...]
    output: str | None
    dlqs: tuple[str, ...]
    oldest: float | None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """One member of a group. ``topics``: what it reads, None where that cannot be told."""

    client_id: str
    host: str
    topics: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """One group as its coordinator has it. ``protocol``: the assignor in use."""

    group_id: str
    state: str
    protocol: str
    members: tuple[MemberFacts, ...]


def time_out_findings(given: TimeOuts) -> Iterator[Finding]:
    """Time-outs that contradict each other, or the broker."""
    check = "time-outs"
    if given.heartbeat_interval * 3 > given.session_timeout:
        yield Finding(
            check,
            Level.PROBLEM,
            f"kafka_heartbeat_interval = {given.heartbeat_interval:g} s is more than a third of "
            f"kafka_session_timeout = {given.session_timeout:g} s: two late heartbeats end the membership",
            "lower kafka_heartbeat_interval, or raise kafka_session_timeout",
        )
    if given.revoke_timeout >= given.rebalance_timeout:
        yield Finding(
            check,
            Level.PROBLEM,
            f"revoke_timeout = {given.revoke_timeout:g} s is not below kafka_rebalance_timeout = "
            f"{given.rebalance_timeout:g} s: the group goes on without a member that still drains",
            "lower revoke_timeout",
        )
    least, longest = given.least_session or 0.0, given.longest_session or float("inf")
    if not least <= given.session_timeout <= longest:
        yield Finding(
            check,
            Level.PROBLEM,
            f"kafka_session_timeout = {given.session_timeout:g} s is outside of what the broker allows "
            f"({least:g} to {longest:g} s): every join is refused",
            "change the setting, or the broker's group.min.session.timeout.ms and group.max.session.timeout.ms",
        )
    if given.shutdown_timeout >= POD_GRACE:
        yield Finding(
            check,
            Level.WARNING,
            f"shutdown_timeout = {given.shutdown_timeout:g} s is not below the 30 s after which Kubernetes kills a pod",
            "raise terminationGracePeriodSeconds, or lower shutdown_timeout",
        )


def attempt_findings(worker: WorkerTopics, shutdown_timeout: float) -> Iterator[Finding]:
    """An attempt that may take longer than the end of a process waits for it."""
    if worker.timeout is not None and worker.timeout > shutdown_timeout:
        yield Finding(
            "time-outs",
            Level.WARNING,
            f"an attempt of {worker.worker} may take {worker.timeout:g} s (timeout), and a process that stops waits "
            f"{shutdown_timeout:g} s (shutdown_timeout): the attempt is cut off, and its message is delivered again",
            "raise shutdown_timeout and terminationGracePeriodSeconds, or lower the timeout of the worker",
        )


def letter_findings(topic: str, removed_at: float, now: float) -> Iterator[Finding]:
    """An open dead letter that retention removes soon. *removed_at*, *now*: seconds since the epoch."""
    if removed_at - now < SOON:
        when = f"in {duration(removed_at - now)}" if removed_at > now else "now"
        yield Finding(
            f"topic {topic}",
            Level.PROBLEM,
            f"Kafka may remove its oldest open dead letter {when}, by its retention.ms",
            "replay or drop it (`core kafka dlq list`), or raise retention.ms",
        )


def clock_findings(process: str, ahead: float) -> Iterator[Finding]:
    """A process of the fleet whose clock differs from this machine's. *ahead*: seconds that it is ahead."""
    if ahead > CLOCK_LIMIT:
        yield Finding(
            "clock",
            Level.WARNING,
            f"the clock of {process} is {ahead:.1f} s ahead of this machine's: pauses, commands and selections by time end too "
            "early or too late, and ages are wrong",
            "let both machines keep their time by NTP",
        )


def topic_findings(
    workers: Sequence[WorkerTopics], topics: Mapping[str, ActualTopic], brokers: int
) -> Iterator[Finding]:
    """Topics that are missing, that lose data with one broker, or that delete what is not finished."""
    names = dict.fromkeys(
        name for w in workers for name in (*w.inputs, w.output, *w.dlqs) if name is not None
    )
    for name in names:
        if name not in topics:
            yield Finding(
                f"topic {name}",
                Level.PROBLEM,
                "it does not exist",
                "create it with `core kafka topics apply`",
            )
        else:
            yield from _replication(topics[name], brokers)
    for worker in workers:
        yield from _partitions(worker, topics)
        yield from _retention(worker, topics)


def _replication(topic: ActualTopic, brokers: int) -> Iterator[Finding]:
    check = f"topic {topic.name}"
    if brokers > 1 and topic.replication < SAFE_REPLICAS:
        yield Finding(
            check,
            Level.WARNING,
            f"it has one replica in a cluster of {brokers} brokers: its messages are lost with that broker's disk",
            "raise its replication with Kafka's kafka-reassign-partitions",
        )
    in_sync = int(topic.config.get("min.insync.replicas", "1") or 1)
    if in_sync > topic.replication:
        yield Finding(
            check,
            Level.PROBLEM,
            f"min.insync.replicas = {in_sync} is more than its {topic.replication} replicas: nothing can be published",
            "lower min.insync.replicas, or raise the replication",
        )
    elif in_sync == topic.replication > 1:
        yield Finding(
            check,
            Level.WARNING,
            f"min.insync.replicas = {in_sync} is all of its replicas: with one broker down nothing can be published",
            "lower min.insync.replicas by one",
        )


def _partitions(worker: WorkerTopics, topics: Mapping[str, ActualTopic]) -> Iterator[Finding]:
    most = max((topics[name].partitions for name in worker.inputs if name in topics), default=0)
    for name in (worker.output, *worker.dlqs):
        if name is not None and name in topics and topics[name].partitions < most:
            yield Finding(
                f"topic {name}",
                Level.WARNING,
                f"it has {topics[name].partitions} partitions, fewer than the {most} of what {worker.worker} reads: "
                "it may become the bottleneck",
                "add partitions, if the order of a key across the change does not matter",
            )


def _retention(worker: WorkerTopics, topics: Mapping[str, ActualTopic]) -> Iterator[Finding]:
    if worker.oldest is None:
        return
    for name in worker.inputs:
        kept = float(topics[name].config.get("retention.ms", "-1") or -1) / 1000 if name in topics else -1
        if kept > 0 and worker.oldest > NEARLY * kept:
            yield Finding(
                f"topic {name}",
                Level.PROBLEM,
                f"the oldest unfinished message of {worker.worker} is {worker.oldest:,.0f} s old, and the topic keeps "
                f"{kept:,.0f} s: Kafka deletes it unread soon",
                "raise retention.ms now, then look at `core kafka offsets`",
            )


def group_findings(group: GroupFacts, worker: str, inputs: Sequence[str]) -> Iterator[Finding]:
    """Members that do not belong, and groups that are not stable."""
    check = f"group {group.group_id}"
    if not group.members:
        yield Finding(
            check,
            Level.WARNING,
            f"it has no members: nobody runs {worker}",
            f"start `core kafka worker {worker}`",
        )
        return
    others = [
        member for member in group.members if member.topics is not None and member.topics != set(inputs)
    ]
    for member in others[:3]:
        topics = ", ".join(sorted(member.topics or ()))
        yield Finding(
            check,
            Level.PROBLEM,
            f"member {member.client_id} at {member.host} reads {topics}, and {worker} reads {', '.join(inputs)}: "
            "two kinds of worker share one group",
            "give each kind of worker a group_id of its own",
        )
    if group.state not in ("Stable", "Empty"):
        yield Finding(
            check,
            Level.WARNING,
            f"it is rebalancing (state {group.state})",
            "look again in a minute; a group that never is stable has a member that joins and leaves",
        )


def security_findings(protocol: str, servers: str) -> Iterator[Finding]:
    """Who can read along."""
    local = all(
        server.rpartition(":")[0].strip("[]") in ("localhost", "127.0.0.1", "::1")
        for server in servers.split(",")
    )
    if protocol in ("PLAINTEXT", "SASL_PLAINTEXT") and not local:
        yield Finding(
            "security",
            Level.WARNING,
            f"kafka_security_protocol = {protocol}: messages{' and the password' if 'SASL' in protocol else ''} "
            "cross the network in the clear",
            "use SSL or SASL_SSL",
        )


def machine_findings(files: int) -> Iterator[Finding]:
    """*files*: how many descriptors this process may open."""
    if 0 < files <= FEW_FILES:
        yield Finding(
            "machine",
            Level.WARNING,
            f"a process may open {files} files: many workers and handlers may need more",
            "raise it with `ulimit -n 65536`, or LimitNOFILE= of systemd",
        )
