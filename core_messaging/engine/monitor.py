"""Checks a worker from time to time: how far it is behind, and whether it has stopped."""

from __future__ import annotations

import asyncio
import math

from core_messaging.engine.components import Components
from core_messaging.engine.session import Session
from core_messaging.engine.worker_snapshot import BrokerView, WriteTimes, snapshot_of
from core_messaging.errors import BrokerError
from core_messaging.rules.condition import AtHand, Facts, Standstill
from core_messaging.rules.job import Sending
from core_messaging.snapshot import Condition, WorkerSnapshot

ASK = 5.0  # seconds the broker has to tell the end offsets
SILENT = "the broker has not answered"
WORRYING = (Condition.STUCK, Condition.BLOCKED)
LONG = (
    300.0  # seconds; how long an attempt runs before it is mentioned, or counts as hanging beyond its timeout
)


class Monitor:
    """Keeps the last known end offsets, so that a health probe needs no round trip to the broker."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._seen = BrokerView({}, {})
        self._written = WriteTimes()
        self._worried: Condition | None = None
        self._silent_since: float | None = None
        self._outage = SILENT
        self._was_in = False  # its group
        self._standstill = Standstill()

    async def look(self, session: Session | None, *, draining: bool) -> WorkerSnapshot:
        """Ask for the end offsets, judge the condition, and log when it becomes worrying and when that is over."""
        if session is not None and not session.status.is_rebalancing:
            await self._ask(session)
        snapshot = self.snapshot(session, draining=draining)
        self._say(snapshot)
        return snapshot

    async def _ask(self, session: Session) -> None:
        try:
            async with asyncio.timeout(ASK):
                sources = self._components.assignment_table.sources
                ends = await session.consumer.end_offsets(sources)
                self._seen = BrokerView(ends, await session.consumer.positions(sources))
        except (BrokerError, TimeoutError) as error:
            self._say_silent(error)
        else:
            self._say_answers()

    def _say_silent(self, error: Exception) -> None:
        if self._silent_since is None:
            self._silent_since = self._components.loop.time()
            self._components.worker_log.warning(
                "outage",
                "%s: the broker does not answer (%s); fetched messages are processed, nothing is committed until it "
                "answers, and nothing is lost",
                str(error) or "no answer in time",
            )

    def lost(self, error: Exception, *, joined: bool) -> None:
        """The worker has lost its group because of *error*. It counts as out until the broker answers again."""
        self._was_in = self._was_in or joined
        self._outage = f"out of its group ({error})"
        if self._silent_since is None:
            self._silent_since = self._components.loop.time()

    @property
    def has_lost_its_group(self) -> bool:
        """Whether the worker was in its group and has lost it."""
        return self._was_in and self._outage != SILENT

    def _say_answers(self) -> None:
        if self._silent_since is not None:
            seconds = self._components.loop.time() - self._silent_since
            self._silent_since, self._outage = None, SILENT
            text = "%s: the broker answers again after about %.0f s"
            self._components.worker_log.info("outage over", text, seconds)

    def snapshot(self, session: Session | None, *, draining: bool) -> WorkerSnapshot:
        """The worker now, with the end offsets last heard of. No round trip."""
        return snapshot_of(
            self._components, self._seen, self._facts(session, draining=draining), self._written
        )

    def _facts(self, session: Session | None, *, draining: bool) -> Facts:
        components = self._components
        now = components.loop.time()
        running = [
            (since, held)
            for since, held in zip(components.runner_pool.since, components.runner_pool.current, strict=True)
            if held and since < math.inf  # else it waits for a thread
        ]
        since, longest = min(running, default=(now, None), key=lambda pair: pair[0])
        assignments = list(components.assignment_table.assignments)
        return Facts(
            draining=draining,
            joined=session is not None and session.status.joined,
            silent_for=None if self._silent_since is None else now - self._silent_since,
            outage=self._outage,
            rebalancing_for=_rebalancing_for(session, now),
            longest_running=now - since,
            longest_job=str(longest.jobs[0]) if longest and longest.jobs else "",
            attempt_limit=self._attempt_limit(),
            long_attempt=LONG,
            unfinished=sum(assignment.unfinished for assignment in assignments),
            waiting_for=self._standstill.seconds(now, self._at_hand(), self._finished()),
            waiting_limit=components.settings.blocked_after,
            running=components.runner_pool.at_work,
            behind=sum(map(self._seen.behind, assignments)),
            idle_for=0.0 if session is None else now - session.status.last_record,
            full=session is not None and session.flow.is_full,
            paused=self._paused(),
            pauses_itself=self._components.own_pause.is_on,
        )

    def _paused(self) -> str:
        """Who has paused all partitions; empty where one of them goes on."""
        sources = self._components.assignment_table.sources
        if not sources or not all(map(self._components.is_paused, sources)):
            return ""
        return self._components.why_paused(sources[0])

    def _attempt_limit(self) -> float | None:
        """How long a healthy attempt can take: only its ``timeout`` or the operator says so."""
        timeout, beyond = self._components.config.timeout, self._components.settings.stuck_after
        if timeout is None:
            return beyond
        return timeout + (LONG if beyond is None else beyond)

    def _at_hand(self) -> AtHand:
        runner_pool, assignments = (
            self._components.runner_pool,
            list(self._components.assignment_table.assignments),
        )
        busy = runner_pool.busy(lambda _job: True)
        handled = [job for job in busy if job.sending is None]
        if any(job.attempt == 1 for job in handled):
            return AtHand.WORK
        # What waits behind a record that is sent again is not held back by a retry of its own.
        sent_again = any(isinstance(job.sending, Sending) and job.sending.tries for job in busy)
        unfinished = sum(assignment.unfinished for assignment in assignments)
        held = sum(assignment.retries.waiting for assignment in assignments)
        if not unfinished:
            return AtHand.WORK
        return AtHand.WAIT if not handled and (sent_again or held == unfinished) else AtHand.RETRY

    def _finished(self) -> int:
        counters = self._components.counters
        return (
            counters.succeeded
            + counters.exhausted
            + counters.undecodable
            + counters.dead_lettered
            + counters.dropped
        )

    def _say(self, snapshot: WorkerSnapshot) -> None:
        worrying = snapshot.condition if snapshot.condition in WORRYING else None
        if worrying is self._worried:
            return
        self._worried = worrying
        condition = snapshot.condition.value
        if worrying is None:
            runs = snapshot.condition is Condition.RUNNING
            self._components.worker_log.info(
                condition, "%s is %s", "running again" if runs else f"{condition} now"
            )
        else:
            self._components.worker_log.warning(condition, "%s is %s: %s", condition, snapshot.reason)


def _rebalancing_for(session: Session | None, now: float) -> float | None:
    if session is None:
        return 0.0
    since = session.status.rebalancing_since
    return None if since is None else now - since
