"""Running, rebalancing, blocked, stuck: what the facts about a worker mean. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from core_messaging.snapshot import Condition

REBALANCE_LIMIT = 180.0  # seconds; a group that takes longer to agree does not agree
FETCH_LIMIT = 60.0  # seconds without a record although the partitions have more


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """About one worker at one moment. Durations are seconds."""

    draining: bool
    joined: bool  # has ever been assigned anything, even nothing
    silent_for: float | None  # how long the broker has not answered, or the worker is in no group
    outage: str  # which of the two, in words
    rebalancing_for: float | None
    longest_running: float  # how long the longest running attempt takes by now
    longest_job: str  # its coordinates
    attempt_limit: float  # beyond it an attempt counts as hanging
    unfinished: int
    blocked: int  # of these: waiting for a retry or a topic, or behind one that does
    running: int
    behind: int  # records the broker has and we have not fetched
    idle_for: float  # since the last record came
    full: bool  # the intake is closed on purpose


Verdict = tuple[Condition, str]


def judge(facts: Facts) -> Verdict:
    """The condition and, unless all is well, what a person should know about it."""
    if facts.longest_running > facts.attempt_limit:
        return Condition.STUCK, f"an attempt at {facts.longest_job} runs for {facts.longest_running:.0f} s"
    if facts.draining:
        return Condition.DRAINING, f"{facts.running} messages are running"
    if facts.silent_for is not None:
        return Condition.DEGRADED, f"{facts.outage} for {facts.silent_for:.0f} s"
    if facts.rebalancing_for is not None:
        return _rebalancing(facts, facts.rebalancing_for)
    return _assigned(facts)


def _rebalancing(facts: Facts, seconds: float) -> Verdict:
    if seconds > REBALANCE_LIMIT:
        return Condition.STUCK, f"the group has been rebalancing for {seconds:.0f} s"
    if not facts.joined:
        return Condition.STARTING, "not assigned anything yet"
    return Condition.REBALANCING, f"for {seconds:.0f} s"


def _assigned(facts: Facts) -> Verdict:
    if facts.unfinished and facts.blocked == facts.unfinished and not facts.running:
        return Condition.BLOCKED, f"all {facts.unfinished} messages at hand wait for a retry, or behind one"
    if facts.behind and facts.idle_for > FETCH_LIMIT and not facts.full:
        return Condition.STUCK, f"{facts.behind} records to fetch and none came for {facts.idle_for:.0f} s"
    return Condition.RUNNING, ""
