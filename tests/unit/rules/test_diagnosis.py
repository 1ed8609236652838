"""What the doctor says of settings, topics and groups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core_messaging.rules.diagnosis import (
    Finding,
    GroupFacts,
    Level,
    MemberFacts,
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
from core_messaging.rules.topic_plan import ActualTopic
from core_messaging.settings import Settings

SOUND = TimeOuts(45.0, 3.0, 60.0, 20.0, 25.0, 6.0, 1800.0)


def said(findings: list[Finding]) -> list[tuple[Level, str]]:
    assert all(finding.remedy for finding in findings)  # every finding of a rule says what to do
    return [(finding.level, finding.text) for finding in findings]


def test_the_defaults_contradict_nothing() -> None:
    given = Settings.model_fields
    defaults = TimeOuts(
        given["kafka_session_timeout"].default,
        given["kafka_heartbeat_interval"].default,
        given["kafka_rebalance_timeout"].default,
        given["revoke_timeout"].default,
        given["shutdown_timeout"].default,
        6.0,
        1800.0,
    )
    assert [*time_out_findings(defaults)] == []
    assert [*time_out_findings(replace(defaults, least_session=None, longest_session=None))] == []


@pytest.mark.parametrize(
    ("given", "level", "text"),
    [
        (
            replace(SOUND, heartbeat_interval=16.0),
            Level.PROBLEM,
            "kafka_heartbeat_interval = 16 s is more than a third",
        ),
        (replace(SOUND, revoke_timeout=60.0), Level.PROBLEM, "revoke_timeout = 60 s is not below"),
        (replace(SOUND, least_session=50.0), Level.PROBLEM, "kafka_session_timeout = 45 s is outside"),
        (replace(SOUND, longest_session=30.0), Level.PROBLEM, "kafka_session_timeout = 45 s is outside"),
        (
            replace(SOUND, shutdown_timeout=30.0),
            Level.WARNING,
            "shutdown_timeout = 30 s is not below the 30 s",
        ),
    ],
)
def test_time_outs_that_contradict_each_other_or_the_broker(given: TimeOuts, level: Level, text: str) -> None:
    ((found, told),) = said([*time_out_findings(given)])
    assert found is level
    assert told.startswith(text)


def topic(name: str, partitions: int = 4, replication: int = 3, **config: str) -> dict[str, ActualTopic]:
    return {
        name: ActualTopic(name, partitions, replication, {k.replace("_", "."): v for k, v in config.items()})
    }


WORKER = WorkerTopics("greet", ("in",), "out", ("dead",), None)


def test_sound_topics_are_no_finding() -> None:
    topics = topic("in", retention_ms="604800000") | topic("out") | topic("dead", min_insync_replicas="2")
    assert [*topic_findings([replace(WORKER, oldest=60.0)], topics, 3)] == []


def test_a_missing_topic_is_a_problem() -> None:
    assert said([*topic_findings([WORKER], topic("in") | topic("out"), 3)]) == [
        (Level.PROBLEM, "it does not exist")
    ]


@pytest.mark.parametrize(
    ("replication", "in_sync", "level", "text"),
    [
        (1, "1", Level.WARNING, "it has one replica in a cluster of 3 brokers"),
        (2, "3", Level.PROBLEM, "min.insync.replicas = 3 is more than its 2 replicas"),
        (2, "2", Level.WARNING, "min.insync.replicas = 2 is all of its replicas"),
    ],
)
def test_replicas_that_lose_or_refuse_messages(
    replication: int, in_sync: str, level: Level, text: str
) -> None:
    alone = replace(WORKER, output=None, dlqs=())
    topics = topic("in", replication=replication, min_insync_replicas=in_sync)
    ((found, told),) = said([*topic_findings([alone], topics, 3)])
    assert (found, told[: len(text)]) == (level, text)


def test_fewer_partitions_behind_a_worker_than_before_it_are_a_warning() -> None:
    topics = topic("in", 8) | topic("out", 8) | topic("dead", 2)
    ((level, told),) = said([*topic_findings([WORKER], topics, 3)])
    assert (level, "2 partitions, fewer than the 8" in told) == (Level.WARNING, True)


@pytest.mark.parametrize(("age", "count"), [(79.0, 0), (81.0, 1)])
def test_a_message_that_retention_deletes_soon_is_a_problem(age: float, count: int) -> None:
    topics = topic("in", retention_ms="100000")
    alone = replace(WORKER, output=None, dlqs=(), oldest=age)
    assert len(said([*topic_findings([alone], topics, 3)])) == count


def test_a_topic_that_keeps_everything_deletes_nothing() -> None:
    alone = replace(WORKER, output=None, dlqs=(), oldest=1e9)
    assert [*topic_findings([alone], topic("in", retention_ms="-1"), 3)] == []


def group(*members: MemberFacts, state: str = "Stable") -> GroupFacts:
    return GroupFacts("g", state, "cooperative-sticky", members)


MEMBER = MemberFacts("core-messaging", "10.0.0.1", frozenset({"in"}))


def test_a_stable_group_of_one_kind_is_no_finding() -> None:
    assert [*group_findings(group(MEMBER, replace(MEMBER, topics=None)), "greet", ["in"])] == []


def test_a_group_without_members_or_in_a_rebalance_is_a_warning() -> None:
    assert [level for level, _ in said([*group_findings(group(state="Empty"), "greet", ["in"])])] == [
        Level.WARNING
    ]
    found = said([*group_findings(group(MEMBER, state="PreparingRebalance"), "greet", ["in"])])
    assert found == [(Level.WARNING, "it is rebalancing (state PreparingRebalance)")]


def test_two_kinds_of_worker_in_one_group_are_a_problem_that_names_the_other() -> None:
    other = MemberFacts("billing", "10.0.0.2", frozenset({"invoices"}))
    ((level, told),) = said([*group_findings(group(MEMBER, other), "greet", ["in"])])
    assert level is Level.PROBLEM
    assert told.startswith("member billing at 10.0.0.2 reads invoices, and greet reads in")


@pytest.mark.parametrize(
    ("protocol", "servers", "count"),
    [
        ("PLAINTEXT", "localhost:9092,127.0.0.1:9093,[::1]:9092", 0),
        ("PLAINTEXT", "localhost:9092,kafka.example:9092", 1),
        ("SASL_PLAINTEXT", "kafka.example:9092", 1),
        ("SASL_SSL", "kafka.example:9092", 0),
    ],
)
def test_what_crosses_the_network_in_the_clear_is_a_warning(protocol: str, servers: str, count: int) -> None:
    assert len(said([*security_findings(protocol, servers)])) == count


@pytest.mark.parametrize(("files", "count"), [(256, 1), (1_024, 1), (65_536, 0), (-1, 0)])
def test_few_file_descriptors_are_a_warning(files: int, count: int) -> None:
    assert len(said([*machine_findings(files)])) == count


@pytest.mark.parametrize(("timeout", "count"), [(None, 0), (25.0, 0), (26.0, 1)])
def test_an_attempt_that_may_outlast_the_end_of_its_process_is_a_warning(
    timeout: float | None, count: int
) -> None:
    assert len(said([*attempt_findings(replace(WORKER, timeout=timeout), 25.0)])) == count


@pytest.mark.parametrize(
    ("removed_at", "told"),
    [(90_000.0, None), (3_700.0, "in 1 h 1 min"), (40.0, "now")],
)
def test_an_open_dead_letter_that_retention_removes_within_a_day_is_a_problem(
    removed_at: float, told: str | None
) -> None:
    found = said([*letter_findings("dead", removed_at, 40.0)])
    assert [level for level, _ in found] == ([Level.PROBLEM] if told else [])
    assert all(f"dead letter {told}, by its retention.ms" in text for _, text in found)


@pytest.mark.parametrize(("ahead", "count"), [(-1_000.0, 0), (0.5, 0), (2.5, 1)])
def test_a_process_whose_clock_is_ahead_is_a_warning(ahead: float, count: int) -> None:
    assert len(said([*clock_findings("web-1:7", ahead)])) == count
