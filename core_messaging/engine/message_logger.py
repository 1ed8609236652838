"""What the log says of a message: one line for many of a kind, with where it happened."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from core_messaging.config import WorkerConfig
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
from core_messaging.rules.job import Job
from core_messaging.text.wording import counted

logger = logging.getLogger("core_messaging.worker")

LOG_EVERY = 10.0  # seconds between two lines of one kind


def where(worker: str, job: Job, action: str) -> dict[str, Any]:
    """The ``extra`` of a log line."""
    source = job.assignment.source
    return {"worker": worker, "action": action, **source._asdict(), "offset": job.record.offset}


def say_raised(worker: str, what: str, error: BaseException, action: str) -> None:
    """*what* of the worker's own code, outside of messages, raised *error*."""
    logger.error(
        "%s: %s raised %s: %s",
        worker,
        what,
        type(error).__name__,
        text_of(error),
        exc_info=exc_info_of(error),
        extra={"worker": worker, "action": action},
    )


def attempts_made(job: Job, error: BaseException) -> int:
    """How often the handler was given the message of *job*, which is given up because of *error*."""
    never = isinstance(error, Undecodable | FollowsADeadLetter)
    return job.attempt - 1 if never else job.attempt


# Ours, and said by a handler that knows what it does: a traceback tells nothing, unless other code is behind it.
_EXPECTED = (BrokerError, Undecodable, FollowsADeadLetter, TriedBefore, KilledTheProcess)
_ASKED_FOR = (Reject, RetryAfter)


def _has_a_place(error: BaseException) -> bool:
    """Whether a traceback of *error* tells something."""
    if isinstance(error, _ASKED_FOR):
        return error.__cause__ is not None
    return not isinstance(error, _EXPECTED) or comes_from_the_user(error)


def _after(job: Job, error: BaseException) -> str:
    made = attempts_made(job, error)
    return f"after {counted(made, 'attempt')}" if made else "without an attempt"


@dataclass(frozen=True, slots=True)
class Telling:
    """How a failure is logged: how loud, with which traceback, and for how many others that were not."""

    level: int
    exc_info: ExcInfo | None
    swallowed: int


class MessageLogger:
    """One worker's; *clock* is the loop's.

    A kind of failure (its type, and the place that raised it) is an error with a traceback when it is first seen; later
    ones are counted. At debug, each failed attempt has its traceback.
    """

    def __init__(self, config: WorkerConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._throttle = LogThrottle(LOG_EVERY, clock, self._say_held_back)
        self._shown = Throttle(math.inf)  # kinds of failures whose traceback is in the log

    def will_retry(self, job: Job, error: BaseException, delay: float) -> None:
        """Its attempt raised *error*; the next one is in *delay* seconds."""
        told = self._telling("attempt", error, logging.WARNING)
        if told is None:
            return
        logger.log(
            told.level,
            "%s failed on %s (attempt %d of %d), next one in %.3g s: %s: %s%s",
            self._config.name,
            job,
            job.counted_attempt,
            self._config.max_retries + 1,
            delay,
            type(error).__name__,
            text_of(error),
            also(told.swallowed),
            exc_info=told.exc_info,
            extra=self._where(job, "retry"),
        )

    def halved(self, jobs: Sequence[Job], error: BaseException) -> None:
        """The batch of *jobs* raised *error*, and halves of it are tried."""
        told = self._telling("attempt", error, logging.WARNING)
        if told is None:
            return
        logger.log(
            told.level,
            "%s failed on a batch of %d messages, from %s on; halves of it are tried, to find the message that fails: "
            "%s: %s%s",
            self._config.name,
            len(jobs),
            jobs[0],
            type(error).__name__,
            text_of(error),
            also(told.swallowed),
            exc_info=told.exc_info,
            extra=self._where(jobs[0], "halved"),
        )

    def gives_up(self, job: Job, error: BaseException, reason: str) -> None:
        """No further attempt follows the one that raised *error*."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s gives up on %s: %s",
                self._config.name,
                job,
                reason,
                exc_info=exc_info_of(error),
                extra=self._where(job, "given up"),
            )

    def new_trace(self, error: BaseException) -> ExcInfo | None:
        """The traceback of *error*, which a message is given up for; None if the log has one of its kind."""
        is_new = self._shown.pass_through(("given up", *kind_of(error)), self._clock()) is not None
        return exc_info_of(error) if is_new and _has_a_place(error) else None

    def dead_lettered(self, job: Job, error: BaseException, trace: ExcInfo | None) -> None:
        """It is in the dead-letter queue, because of *error*. *trace*: what ``new_trace`` said when it was given up."""
        swallowed = self._throttle.pass_through(("dead letter", type(error).__name__), self._clock())
        if swallowed is None and trace is None:
            return
        logger.log(
            logging.WARNING if trace is None else logging.ERROR,
            "%s dead-lettered %s to %s %s: %s: %s%s",
            self._config.name,
            job,
            self._config.dlq_topic,
            _after(job, error),
            type(error).__name__,
            text_of(error),
            also(swallowed or 0),
            exc_info=trace,
            extra=self._where(job, "dead-lettered"),
        )

    def shortened(self, job: Job, letter: Outgoing) -> None:
        """Its dead letter *letter* is stored without headers of ours, because with them it was too large."""
        swallowed = self._throttle.pass_through(("shortened", letter.topic), self._clock())
        if swallowed is None:
            return
        logger.warning(
            "%s: with all core-... headers the dead letter of %s was too large for %s, so %s left out; raise "
            "max.message.bytes of that topic by a few kB above that of %s%s",
            self._config.name,
            job,
            letter.topic,
            "the text of its error is" if has_facts(letter) else "all of them are",
            job.record.topic,
            also(swallowed),
            extra=self._where(job, "dead letter shortened"),
        )

    def skipped(self, job: Job, error: BaseException) -> None:
        """It is given up, and there is no dead-letter queue. Every one is told."""
        logger.error(
            "%s gave up on %s %s and has no dlq_topic, so the message is skipped: %s: %s",
            self._config.name,
            job,
            _after(job, error),
            type(error).__name__,
            text_of(error),
            exc_info=self.new_trace(error),
            extra=self._where(job, "skipped"),
        )

    def stops(self, job: Job, error: BaseException) -> None:
        """It is given up, and the worker ends with it."""
        logger.error(
            "%s failed on %s for good, %s: %s: %s",
            self._config.name,
            job,
            _after(job, error),
            type(error).__name__,
            text_of(error),
            exc_info=self.new_trace(error),
            extra=self._where(job, "failed for good"),
        )

    def not_published(self, job: Job, topic: str, error: BaseException) -> None:
        """What it led to is not in *topic* yet."""
        swallowed = self._throttle.pass_through(
            ("publish failed", topic, type(error).__name__), self._clock()
        )
        if swallowed is None:
            return
        refused = isinstance(error, RecordRefused)  # and it is a dead letter: a result is given up
        logger.error(
            "%s cannot publish to %s: %s. %s waits with its key and is tried again%s; nothing is lost%s",
            self._config.name,
            topic,
            error,
            job,
            " every 15 s, so it goes when the topic is mended, without a restart" if refused else "",
            also(swallowed),
            extra=self._where(job, "publish failed"),
        )

    def unsaid(self, job: Job, count: int) -> None:
        """Of the batch of *job*, *count* are done, and nothing is published for them."""
        swallowed = self._throttle.pass_through("unsaid", self._clock())
        if swallowed is None:
            return
        logger.warning(
            "%s: process_batch raised PartialBatchError without results, so nothing is published to %s for %s of the batch "
            "of %s; raise PartialBatchError(errors, results)%s",
            self._config.name,
            self._config.output_topic,
            counted(count, "message", "that is done", "that are done"),
            job,
            also(swallowed),
            extra=self._where(job, "results unsaid"),
        )

    def own_raised(self, name: str, job: Job, error: BaseException) -> None:
        """The worker's own callback *name* raised *error*."""
        told = self._telling(name, error, logging.ERROR)
        if told is None:
            return
        logger.log(
            told.level,
            "%s.%s raised for %s: %s: %s; the message's fate is unchanged%s",
            self._config.name,
            name,
            job,
            type(error).__name__,
            text_of(error),
            also(told.swallowed),
            exc_info=told.exc_info,
            extra=self._where(job, f"{name} failed"),
        )

    def end(self) -> None:
        """The worker has stopped: tell what was held back."""
        self._throttle.end()

    def _say_held_back(self, kind: Hashable, count: int) -> None:
        logger.warning(
            "%s: %d more like the last line about %s",
            self._config.name,
            count,
            words_of(kind),
            extra={"worker": self._config.name, "action": "held back", "count": count},
        )

    def _telling(self, what: str, error: BaseException, level: int) -> Telling | None:
        """*what* raised *error*; *level* is that of a kind that was seen before. None: nothing is said."""
        kind, now = (what, *kind_of(error)), self._clock()
        is_new = self._shown.pass_through(kind, now) is not None and _has_a_place(error)
        swallowed = self._throttle.pass_through(kind, now)
        in_detail = is_new or logger.isEnabledFor(logging.DEBUG)
        if swallowed is None and not in_detail:
            return None
        loud = logging.ERROR if is_new else logging.DEBUG if swallowed is None else level
        return Telling(loud, exc_info_of(error) if in_detail else None, swallowed or 0)

    def _where(self, job: Job, action: str) -> dict[str, Any]:
        return where(self._config.name, job, action)
