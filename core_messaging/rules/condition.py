"""The condition of a worker, judged by facts: running, rebalancing, blocked, stuck."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from core_messaging.snapshot import Condition
from core_messaging.text.wording import counted

REBALANCE_LIMIT = 180.0  # seconds; a group that takes longer to rebalance does not come to an end
FETCH_LIMIT = 60.0  # seconds without a record, although the partitions have more


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
    attempt_limit: (
        float | None
    )  # beyond it an attempt counts as hanging; None: nobody knows how long one may take
    long_attempt: float  # beyond it an attempt is mentioned, where there is no limit
    unfinished: int
    waiting_for: (
        float  # how long all messages at hand have waited for a retry, or behind one, and nothing was done
    )
    waiting_limit: float  # beyond it the worker is blocked
    running: int
    behind: int  # records the broker has and we have not fetched
    idle_for: float  # since the last record came
    full: bool  # the intake is closed on purpose
    paused: str = ""  # who has paused all of its partitions, in words
    pauses_itself: bool = False  # messages that it holds back are unfinished on purpose


Verdict = tuple[Condition, str]


def judge(facts: Facts) -> Verdict:
    """Return the condition and, unless all is well, a sentence for people about it."""
    if facts.attempt_limit is not None and facts.longest_running > facts.attempt_limit:
        return Condition.STUCK, f"an attempt at {facts.longest_job} runs for {facts.longest_running:.0f} s"
    if facts.draining:
        return Condition.DRAINING, counted(facts.running, "message", "is running", "are running")
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
    if facts.paused and (facts.pauses_itself or not facts.unfinished):
        return Condition.PAUSED, facts.paused
    if facts.waiting_for > facts.waiting_limit:
        return Condition.BLOCKED, (
            f"{_all_at_hand(facts.unfinished)} waited for a retry, or behind one, for {facts.waiting_for:.0f} s"
        )
    if facts.behind and facts.idle_for > FETCH_LIMIT and not facts.full:
        return Condition.STUCK, (
            f"{counted(facts.behind, 'record')} to fetch and none came for {facts.idle_for:.0f} s"
        )
    if facts.attempt_limit is None and facts.longest_running > facts.long_attempt:
        return Condition.RUNNING, (
            f"an attempt at {facts.longest_job} runs for {facts.longest_running:.0f} s; the worker has no timeout that "
            "says how long one may take"
        )
    return Condition.RUNNING, ""


def _all_at_hand(count: int) -> str:
    return "the only message at hand has" if count == 1 else f"all {count} messages at hand have"


class AtHand(Enum):
    """What a worker can do with the messages it holds."""

    WORK = "work"  # one is processed for the first time, or there is none
    RETRY = "retry"  # a retry is running, or one of them is about to start
    WAIT = "wait"  # each waits for a retry, for a topic that cannot be written, or behind one that does


class Standstill:
    """Adds up the time in which a worker could only wait, since it last finished a message or had other work."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._waiting_since: float | None = None
        self._finished = 0

    def seconds(self, now: float, at_hand: AtHand, finished: int) -> float:
        """Return for how many seconds the worker has stood still at *now*. *finished* counts messages and only grows."""
        if at_hand is AtHand.WORK or finished != self._finished:
            self._seconds, self._waiting_since = 0.0, None
        elif self._waiting_since is not None:
            self._seconds += now - self._waiting_since
        self._waiting_since = now if at_hand is AtHand.WAIT else None
        self._finished = finished
        return self._seconds
