"""What the log says of a message: one line for many of a kind, with where it happened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from core_messaging.config import WorkerConfig
from core_messaging.errors import FollowsADeadLetter, RecordRefused, Undecodable, text_of
from core_messaging.records import Outgoing
from core_messaging.rules.dead_letter import has_facts
from core_messaging.rules.job import Job
from core_messaging.rules.throttle import Throttle, also

logger = logging.getLogger("core_messaging.worker")

LOG_EVERY = 10.0  # seconds between two lines of one kind


def where(worker: str, job: Job, action: str) -> dict[str, Any]:
    """The ``extra`` of a log line."""
    source = job.assignment.source
    return {"worker": worker, "action": action, **source._asdict(), "offset": job.record.offset}


def attempts_made(job: Job, error: BaseException) -> int:
    """How often the handler was given the message of *job*, which is given up because of *error*."""
    never = isinstance(error, Undecodable | FollowsADeadLetter)
    return job.attempt - 1 if never else job.attempt


def _after(job: Job, error: BaseException) -> str:
    made = attempts_made(job, error)
    return f"after {made} {'attempt' if made == 1 else 'attempts'}" if made else "without an attempt"


class Remarks:
    """One worker's; *clock* is the loop's."""

    def __init__(self, config: WorkerConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._throttle = Throttle(LOG_EVERY)

    def will_retry(self, job: Job, error: BaseException, delay: float) -> None:
        """Its attempt raised *error*; the next one is in *delay* seconds."""
        swallowed = self._throttle.pass_through(type(error).__name__, self._clock())
        if swallowed is None:
            return
        logger.warning(
            "%s failed on %s (attempt %d of %d), next one in %.3g s: %s: %s%s",
            self._config.name,
            job,
            job.attempt,
            self._config.max_retries + 1,
            delay,
            type(error).__name__,
            text_of(error),
            also(swallowed),
            extra=self._where(job, "retry"),
        )

    def dead_lettered(self, job: Job, error: BaseException) -> None:
        """It is in the dead-letter queue, because of *error*."""
        swallowed = self._throttle.pass_through(("dead letter", type(error).__name__), self._clock())
        if swallowed is None:
            return
        logger.warning(
            "%s dead-lettered %s to %s %s: %s: %s%s",
            self._config.name,
            job,
            self._config.dlq_topic,
            _after(job, error),
            type(error).__name__,
            text_of(error),
            also(swallowed),
            extra=self._where(job, "dead-lettered"),
        )

    def shortened(self, job: Job, letter: Outgoing) -> None:
        """Its dead letter *letter* is stored without headers of ours, because with them it was too large."""
        if self._throttle.pass_through(("shortened", letter.topic), self._clock()) is None:
            return
        logger.warning(
            "%s: with all core-... headers the dead letter of %s was too large for %s, so %s left out; raise "
            "max.message.bytes of that topic by a few kB above that of %s",
            self._config.name,
            job,
            letter.topic,
            "the text of its error is" if has_facts(letter) else "all of them are",
            job.record.topic,
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
            extra=self._where(job, "skipped"),
        )

    def not_published(self, job: Job, topic: str, error: BaseException) -> None:
        """What it led to is not in *topic* yet."""
        if self._throttle.pass_through((topic, type(error).__name__), self._clock()) is None:
            return
        refused = isinstance(error, RecordRefused)  # and it is a dead letter: a result is given up
        logger.error(
            "%s cannot publish to %s: %s. %s waits with its key and is tried again%s; nothing is lost",
            self._config.name,
            topic,
            error,
            job,
            " every 15 s, so it goes when the topic is mended, without a restart" if refused else "",
            extra=self._where(job, "publish failed"),
        )

    def unsaid(self, job: Job, count: int) -> None:
        """Of the batch of *job*, *count* are done, and nothing is published for them."""
        swallowed = self._throttle.pass_through("unsaid", self._clock())
        if swallowed is None:
            return
        logger.warning(
            "%s: process_batch raised PartialBatchError without results, so nothing is published to %s for the %d "
            "messages of the batch of %s that are done; raise PartialBatchError(errors, results)%s",
            self._config.name,
            self._config.output_topic,
            count,
            job,
            also(swallowed),
            extra=self._where(job, "results unsaid"),
        )

    def own_raised(self, name: str, job: Job, error: BaseException) -> None:
        """The worker's own callback *name* raised *error*."""
        swallowed = self._throttle.pass_through((name, type(error).__name__), self._clock())
        if swallowed is None:
            return
        logger.error(
            "%s.%s raised for %s; the message's fate is unchanged%s",
            self._config.name,
            name,
            job,
            also(swallowed),
            exc_info=error,
            extra=self._where(job, f"{name} failed"),
        )

    def _where(self, job: Job, action: str) -> dict[str, Any]:
        return where(self._config.name, job, action)
