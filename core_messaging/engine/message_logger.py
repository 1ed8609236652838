"""Logs what becomes of messages: one line stands for many of the same kind."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from core_messaging.config import WorkerConfig
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.errors import (
    BrokerError,
    FollowsADeadLetter,
    KilledTheProcess,
    RecordRefused,
    Reject,
    RetryAfter,
    TriedBefore,
    Undecodable,
    text_of,
)
from core_messaging.logs.throttle import Throttle, also
from core_messaging.logs.throttled_log import LogThrottle, words_of
from core_messaging.logs.tracebacks import ExcInfo, comes_from_the_user, exc_info_of, kind_of
from core_messaging.records import Outgoing
from core_messaging.rules.dead_letter import has_facts
from core_messaging.rules.job import Job, Sending, attempts_made
from core_messaging.text.wording import counted

LOG_EVERY = 10.0  # seconds between two lines of one kind

# Errors of ours, and errors that a handler raises on purpose. A traceback of them helps only if the user's code is in it.
_EXPECTED = (BrokerError, Undecodable, FollowsADeadLetter, TriedBefore, KilledTheProcess)
_RAISED_ON_PURPOSE = (Reject, RetryAfter)


def _traceback_helps(error: BaseException) -> bool:
    if isinstance(error, _RAISED_ON_PURPOSE):
        return error.__cause__ is not None
    return not isinstance(error, _EXPECTED) or comes_from_the_user(error)


def _after_attempts(job: Job, error: BaseException) -> str:
    made = attempts_made(job, error)
    return f"after {counted(made, 'attempt')}" if made else "without an attempt"


@dataclass(frozen=True, slots=True)
class FailureLine:
    """How a failure is logged: its level, its traceback if one is shown, and how many lines were held back before it."""

    level: int
    trace: ExcInfo | None
    held_back: int


class MessageLogger:
    """Logs what becomes of the messages of one worker.

    The first failure of a kind (its type, and the place that raised it) is logged as an error with a traceback. Later ones
    are counted. At the level DEBUG each failed attempt has its traceback.
    """

    def __init__(self, log: WorkerLog, config: WorkerConfig, clock: Callable[[], float]) -> None:
        """*clock* is that of the event loop, in seconds."""
        self._log = log
        self._config = config
        self._clock = clock
        self._throttle = LogThrottle(LOG_EVERY, clock, self._say_held_back)
        self._shown = Throttle(math.inf)  # kinds of failures whose traceback is in the log

    def will_retry(self, job: Job, error: BaseException, delay: float) -> None:
        """An attempt at *job* raised *error*; the next attempt is in *delay* seconds."""
        line = self._failure_line("attempt", error, logging.WARNING)
        if line is None:
            return
        self._log.log(
            line.level,
            "retry",
            "%s failed on %s (attempt %d of %d), next one in %.3g s: %s: %s%s",
            job,
            job.counted_attempt,
            self._config.max_retries + 1,
            delay,
            *_named(error),
            also(line.held_back),
            at=job,
            trace=line.trace,
        )

    def halved(self, jobs: Sequence[Job], error: BaseException) -> None:
        """The batch of *jobs* raised *error*, and its halves are tried."""
        line = self._failure_line("attempt", error, logging.WARNING)
        if line is None:
            return
        self._log.log(
            line.level,
            "halved",
            "%s failed on a batch of %d messages, from %s on; halves of it are tried, to find the message that fails: "
            "%s: %s%s",
            len(jobs),
            jobs[0],
            *_named(error),
            also(line.held_back),
            at=jobs[0],
            trace=line.trace,
        )

    def gives_up(self, job: Job, error: BaseException, reason: str) -> None:
        """No attempt follows the one that raised *error*."""
        if self._log.shows_debug:
            trace = exc_info_of(error)
            self._log.debug("given up", "%s gives up on %s: %s", job, reason, at=job, trace=trace)

    def new_trace(self, error: BaseException) -> ExcInfo | None:
        """The traceback of *error*, for which a message is given up; None if the log has one of its kind."""
        is_new = self._shown.pass_through(("given up", *kind_of(error)), self._clock()) is not None
        return exc_info_of(error) if is_new and _traceback_helps(error) else None

    def dead_lettered(self, job: Job, error: BaseException, sending: Sending) -> None:
        """*job* is in a dead-letter queue because of *error*. The trace of *sending* is what ``new_trace`` returned for it."""
        trace = sending.trace
        held_back = self._throttle.pass_through(("dead letter", type(error).__name__), self._clock())
        if held_back is None and trace is None:
            return
        self._log.log(
            logging.WARNING if trace is None else logging.ERROR,
            "dead-lettered",
            "%s dead-lettered %s to %s %s: %s: %s%s",
            job,
            sending.outgoing.topic,
            _after_attempts(job, error),
            *_named(error),
            also(held_back or 0),
            at=job,
            trace=trace,
        )

    def shortened(self, job: Job, letter: Outgoing) -> None:
        """*letter*, the dead letter of *job*, is stored without some of our headers, because with them it was too large."""
        held_back = self._throttle.pass_through(("shortened", letter.topic), self._clock())
        if held_back is None:
            return
        self._log.warning(
            "dead letter shortened",
            "%s: with all core-... headers the dead letter of %s was too large for %s, so %s left out; raise "
            "max.message.bytes of that topic by a few kB above that of %s%s",
            job,
            letter.topic,
            "the text of its error is" if has_facts(letter) else "all of them are",
            job.record.topic,
            also(held_back),
            at=job,
        )

    def skipped(self, job: Job, error: BaseException) -> None:
        """*job* is given up, and there is no dead-letter queue. Each one is logged."""
        self._log.error(
            "skipped",
            "%s gave up on %s %s and has no dlq_topic, so the message is skipped: %s: %s",
            job,
            _after_attempts(job, error),
            *_named(error),
            at=job,
            trace=self.new_trace(error),
        )

    def stops(self, job: Job, error: BaseException) -> None:
        """*job* is given up, and the worker stops because of it."""
        self._log.error(
            "failed for good",
            "%s failed on %s for good, %s: %s: %s",
            job,
            _after_attempts(job, error),
            *_named(error),
            at=job,
            trace=self.new_trace(error),
        )

    def not_published(self, job: Job, topic: str, error: BaseException) -> None:
        """The result or the dead letter of *job* is not in *topic* yet."""
        kind = ("publish failed", topic, type(error).__name__)
        held_back = self._throttle.pass_through(kind, self._clock())
        if held_back is None:
            return
        refused = isinstance(
            error, RecordRefused
        )  # then it is a dead letter: a result that is refused is given up
        self._log.error(
            "publish failed",
            "%s cannot publish to %s: %s. %s waits with its key and is tried again%s; nothing is lost%s",
            topic,
            error,
            job,
            " every 15 s, so it goes when the topic is mended, without a restart" if refused else "",
            also(held_back),
            at=job,
        )

    def results_unknown(self, job: Job, count: int) -> None:
        """*count* messages of the batch of *job* are done, and the handler has returned no results for them."""
        held_back = self._throttle.pass_through("results unknown", self._clock())
        if held_back is None:
            return
        self._log.warning(
            "results unknown",
            "%s: process_batch raised PartialBatchError without results, so nothing is published to %s for %s of the batch "
            "of %s; raise PartialBatchError(errors, results)%s",
            self._config.output_topic,
            counted(count, "message", "that is done", "that are done"),
            job,
            also(held_back),
            at=job,
        )

    def callback_raised(self, name: str, job: Job, error: BaseException) -> None:
        """The worker's own callback *name* raised *error*."""
        line = self._failure_line(name, error, logging.ERROR)
        if line is None:
            return
        self._log.log(
            line.level,
            f"{name} failed",
            "%s.%s raised for %s: %s: %s; the message's fate is unchanged%s",
            name,
            job,
            *_named(error),
            also(line.held_back),
            at=job,
            trace=line.trace,
        )

    def end(self) -> None:
        """The worker has stopped: log how many lines were held back."""
        self._throttle.end()

    def _say_held_back(self, kind: Hashable, count: int) -> None:
        text = "%s: %d more like the last line about %s"
        self._log.log(logging.WARNING, "held back", text, count, words_of(kind), count=count)

    def _failure_line(self, what: str, error: BaseException, level: int) -> FailureLine | None:
        """How to log that *what* raised *error*; None: not at all. *level* is for a kind that the log has already."""
        kind, now = (what, *kind_of(error)), self._clock()
        is_new = self._shown.pass_through(kind, now) is not None and _traceback_helps(error)
        held_back = self._throttle.pass_through(kind, now)
        in_detail = is_new or self._log.shows_debug
        if held_back is None and not in_detail:
            return None
        loud = logging.ERROR if is_new else logging.DEBUG if held_back is None else level
        return FailureLine(loud, exc_info_of(error) if in_detail else None, held_back or 0)


def _named(error: BaseException) -> tuple[str, str]:
    """Type and text of *error*."""
    return type(error).__name__, text_of(error)
