"""Sends later messages of a key to the dead-letter queue once one of them is there (``on_dead_letter = "follow"``)."""

from __future__ import annotations

from core_messaging.engine.components import Components
from core_messaging.engine.dead_letters import DeadLetters
from core_messaging.engine.message_logger import LOG_EVERY
from core_messaging.errors import FollowsADeadLetter
from core_messaging.logs.lasting_state import LastingState, so_far
from core_messaging.rules.blocked_keys import CLEAR, unblocking
from core_messaging.rules.job import Job

AGAIN = 5.0  # seconds until a message checks again whether one more key can be blocked


class KeyBlocker:
    """Decides, when the turn of a message has come, whether it may start."""

    def __init__(self, components: Components, dead_letters: DeadLetters) -> None:
        self._log = components.worker_log
        self._schedule = components.schedule
        self._counters = components.counters
        self._timer = components.timer
        self._clock = components.loop.time
        self._dead_letters = dead_letters
        self._states = LastingState(LOG_EVERY)
        self._obeys = components.settings.obey_unblock_headers

    async def is_key_unblocked(self, job: Job) -> bool:
        """Whether *job* may start. False: its key is blocked, and *job* is settled."""
        blocked, key = job.assignment.blocked_keys, job.record.key
        word = unblocking(job.record.headers) if job.record.headers and self._obeys else None
        if word is not None and key in blocked:
            blocked.discard(key)
            self._say_unblocked(job, word)
            if word == CLEAR:
                self._counters.cleared += 1
                self._schedule.finish(job)
                return False
        if key not in blocked:
            return True
        await self._dead_letters.send_untried(job, FollowsADeadLetter(str(job)))
        return False

    def waits_for_room(self, job: Job, error: BaseException) -> bool:
        """Whether *job* has to wait, because its partition already blocks the maximum of keys.

        Its key cannot be blocked too, so later messages of the key would pass its dead letter. It keeps its lane and is
        given up later.
        """
        if job.assignment.blocked_keys.reserve(job.record.key):
            return False
        job.wait_for_giving_up(error)
        now = self._clock()
        self._say_full(job, now)
        self._timer.park(job, now + AGAIN)
        return True

    def _say_full(self, job: Job, now: float) -> None:
        seconds = self._states.seen(job.assignment.source, now)
        if seconds is not None:
            self._log.error(
                "blocked keys full",
                "%s: %d keys of %s follow a dead letter, and no more can be remembered; what fails for good waits "
                "with its key until one of them is replayed or cleared. Nothing is lost%s",
                len(job.assignment.blocked_keys),
                job.assignment.source,
                so_far(seconds),
                at=job,
            )

    def _say_unblocked(self, job: Job, word: bytes) -> None:
        self._log.info(
            "unblocked",
            "%s: %s lifts the block of its key (core-unblock: %s); %s later messages of the key are processed again",
            job,
            word.decode(),
            "it is dropped, as asked, and" if word == CLEAR else "it and",
            at=job,
        )
