"""One membership in the consumer group: from joining until leaving, or until the client is beyond repair."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from core_messaging.broker import Consumer
from core_messaging.config import WorkerConfig
from core_messaging.engine.committer import Committer
from core_messaging.engine.components import Components
from core_messaging.engine.poison_pill import PoisonPillSearch
from core_messaging.engine.positioning import Positioning
from core_messaging.logs.throttle import Throttle
from core_messaging.observers import Observers, Tell, tell
from core_messaging.records import Committed, Record, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.batch_schedule import BatchSchedule
from core_messaging.rules.flow_control import FIRST_PIECE, FlowLimits, FlowPlan, plan, quiet
from core_messaging.rules.job import Job
from core_messaging.settings import Settings
from core_messaging.text.wording import counted

logger = logging.getLogger("core_messaging.worker")

POLL = 1.0  # seconds one fetch waits for records
# Between two looks while there is no room: soon at first, because handlers that do nothing empty the whole intake
# within 0.04 s and would then wait for the next look; seldom later, because looking costs with every partition.
SOON, FULL = 0.005, 0.05  # seconds
KEEP_ALIVE = 30.0  # seconds without a fetch after which the group must hear that we are alive
LITTLE_IN_HAND = 64  # messages
SAY_EVERY = 60.0  # seconds between two lines that say the same of a partition

FULL_AND_WAITING = (
    "as many messages wait for retries, or behind one, as max_waiting_retries lets them; its intake stops until "
    "half of them are through"
)
FULL_AND_EVICTING = (
    "as many messages wait for retries, or behind one, as max_waiting_retries lets them; the longest waiting are "
    "dead-lettered until half of them are left"
)
STRANDED = (
    "no more keys can be blocked, and as many messages wait for one of them to be replayed or cleared as max_in_flight "
    "(or max_in_flight_bytes) lets them; its intake stops. Start the worker with a larger one, so that it reads the records "
    "that lift the blocks"
)
NEVER_FULL = (
    "%s: no batch can have batch_size = %d messages, because max_in_flight = %d and max_partition_in_flight = %d let a "
    "partition hold %d. Its batches start with as many as there is room for; lower batch_size, or raise what is too small"
)
CROWDED = (
    "so many messages are finished between unfinished ones that the commit can hardly tell them all; its intake "
    "stops until it can"
)


class Session:
    """Fetches into the schedule and answers the group's assignments."""

    def __init__(
        self,
        components: Components,
        consumer: Consumer,
        committer: Committer,
        poison_pill_search: PoisonPillSearch,
        *,
        again: bool = False,
    ) -> None:
        """*again*: its worker was in the group and has lost it."""
        self._config = components.config
        self.consumer = consumer
        self._schedule = components.schedule
        self._batches = components.schedule if isinstance(components.schedule, BatchSchedule) else None
        self._assignment_table = components.assignment_table
        self._runner_pool = components.runner_pool
        self._handler = components.handler
        self._committer = committer
        self._clock = components.loop.time
        self._set_timer = components.timer.set
        self._poison_pill_search = poison_pill_search
        self._counters = components.counters
        self._limits = _limits(components.settings, components.config)
        self._observers = components.observers
        self._revoke_timeout = components.settings.revoke_timeout
        self._paused: frozenset[TopicPartition] = frozenset()
        self._throttle = Throttle(SAY_EVERY)
        self._positioning = Positioning(components.config.name, consumer)
        self._again = again
        self._telling: asyncio.Future[None] | None = None
        self.joined = False
        self.rebalancing_since: float | None = self._clock()
        self.last_record = self._clock()
        self.full = False

    @property
    def rebalancing(self) -> bool:
        """The group is deciding; nothing is fetched and nothing can be committed."""
        return self.rebalancing_since is not None

    async def start(self) -> None:
        """Join the group. Raises BrokerUnreachable, BrokerRefused."""
        await self.consumer.start(self._assigned, self._revoked)

    async def fetch_forever(self) -> None:
        """Fetch while there is room. Raises BrokerError when the member is beyond repair."""
        poison_pill_search = asyncio.ensure_future(self._poison_pill_search.run(self.consumer))
        try:
            await self._fetch_beside(poison_pill_search)
        finally:
            poison_pill_search.cancel()
            await asyncio.wait([poison_pill_search])

    async def _fetch_beside(self, poison_pill_search: asyncio.Future[None]) -> None:
        last, pause = self._clock(), SOON
        while True:
            if poison_pill_search.done():
                poison_pill_search.result()  # it never ends by itself
            await self._start_new()
            if room := self._balance():
                last = self._clock()
                # While something is paused, the next look at it must not wait for other partitions' records.
                came = await self._fetch(room, pause if self._paused else POLL)
                pause = SOON if came else min(2 * pause, FULL)
            elif self._clock() - last > KEEP_ALIVE:
                last = self._clock()
                await self.consumer.keep_alive()
            else:
                began = self._counters.started
                await self._runner_pool.until_handed_out(pause)
                working = self._schedule.working()
                # More than a round of the partitions meanwhile: a message of another one would have had its turn.
                pause = SOON if self._counters.started - began > len(working) else min(2 * pause, FULL)
                await self._fetch_quiet(working)

    async def _fetch_quiet(self, working: Collection[Assignment]) -> None:
        """There is enough at hand, but not of every partition: look, without waiting, whether the others have some."""
        sources = quiet(self._assignment_table.assignments, working, self._paused)
        if not sources:
            return
        others = set(self._assignment_table.sources).difference(sources, self._paused)
        self.consumer.pause(tuple(others))
        try:
            await self._fetch(FIRST_PIECE * len(sources), 0.0)
        finally:
            self.consumer.resume(tuple(others.difference(self._paused)))

    async def _start_new(self) -> None:
        """Commit where each new assignment begins, before its first record: nothing else keeps a group that has begun at
        the end of a quiet partition from beginning there again, and passing what came meanwhile."""
        new = [assignment for assignment in self._assignment_table.assignments if not assignment.placed]
        if new and self._positioning.due(self._clock()) and await self._positioning.place(new):
            await self._committer.commit(self.consumer, new)

    async def _fetch(self, room: int, wait: float) -> bool:
        """Take in up to *room* records; whether any came within *wait* seconds."""
        fetched = await self.consumer.fetch(room, wait)
        if wait and self._batches is not None and sum(map(len, fetched.values())) < room:
            self._batches.ran_dry(set(self._assignment_table.sources).difference(self._paused, fetched))
        if not fetched:
            if wait >= FULL:  # else it may only not have answered yet
                await self._catch_up()
            return False
        # None: revoked while these were on their way. They are somebody else's now.
        arrived = [
            (found, r) for source, r in fetched.items() if r and (found := self._assignment_table.get(source))
        ]
        await self._positioning.place_at({a: records[0].offset for a, records in arrived if not a.placed})
        await self._announce(arrived)
        self.last_record = now = self._clock()
        count = 0
        for assignment, records in arrived:
            # Looked up before the announcement: what was revoked meanwhile is not open any more, and a new
            # assignment of the same partition gets these records again from the broker.
            if self._poison_pill_search.wants(assignment):
                self._poison_pill_search.take_over(assignment, records)
            else:
                self._schedule.deliver(assignment, records, now)
            count += len(records)
        self._counters.fetched += count
        self._runner_pool.wake(count)
        self._set_timer()
        return True

    async def _catch_up(self) -> None:
        """The broker has no more records for now of what is not paused, and all that were fetched are delivered."""
        waiting = self._poison_pill_search.assignments
        asked = (a for a in self._assignment_table.assignments if a.source not in self._paused)
        assignments = [a for a in asked if a not in waiting]
        for assignment in assignments:
            assignment.caught_up()
        await self._positioning.reach(assignments)

    async def _announce(self, arrived: Sequence[tuple[Assignment, Sequence[Record]]]) -> None:
        """Before the first message of an assignment starts, its commit says that a member works on it.

        A message that kills the process at once would otherwise leave no trace, and kill the next one for ever.
        A refused commit does not hold anything up: these records are here and must be worked on or revoked.
        """
        new = []
        for assignment, records in arrived:
            watched = not self._poison_pill_search.wants(assignment) and assignment.announce(
                records[-1].offset + 1
            )
            if not assignment.announced or watched:
                assignment.begin_at(records[0].offset)
                assignment.announced = True
                new.append(assignment)
        if new:
            await self._committer.commit(self.consumer, new)

    def _balance(self) -> int:
        """Pause what is full, resume what has room; how many messages may come."""
        batches = self._batches
        held_back = set(self._poison_pill_search.assignments)
        if batches is not None:
            held_back |= batches.crowded_out(self._limits.shared)
        todo = plan(self._assignment_table.assignments, self._paused, self._limits, held_back)
        if batches is not None:
            self._runner_pool.wake(batches.cut_off(todo.closed))
        if todo.pause or todo.resume:
            self.consumer.pause(todo.pause)
            self.consumer.resume(todo.resume)
            self._paused = (self._paused | set(todo.pause)) - set(todo.resume)
        self._relieve(todo)
        room = min(todo.room, self._schedule.wanted(self._runner_pool.waiting))
        if any(assignment.crashes for assignment in self._assignment_table.assignments):
            room = min(room, self._room_after_a_crash())
        self.full = not room or bool(self._paused)
        return room

    def _room_after_a_crash(self) -> int:
        """What is in hand is under suspicion if this process vanishes as well, so it is little more than what runs."""
        size = max(1, self._limits.batch_size)
        most = max(LITTLE_IN_HAND, self._runner_pool.count * size * 5 // 4)
        return max(0, most - sum(a.unfinished - a.held for a in self._assignment_table.assignments))

    def _relieve(self, todo: FlowPlan) -> None:
        """Do what the worker's policy says where too many messages wait for retries, and say so."""
        evicting = self._config.on_full_retries == "dead-letter"
        for assignment, count in todo.over_budget:
            if evicting:
                self._schedule.evict(assignment, count)
                self._say_full(assignment.source, FULL_AND_EVICTING)
            else:
                self._say_full(assignment.source, FULL_AND_WAITING)
        for source in todo.crowded:
            self._say_full(source, CROWDED)
        for source in todo.stranded:
            self._say_full(source, STRANDED)

    def _say_full(self, source: TopicPartition, what: str) -> None:
        if self._throttle.pass_through((source, what), self._clock()) is None:
            return
        logger.warning(
            "%s: in %s %s; nothing is lost",
            self._config.name,
            source,
            what,
            extra={"worker": self._config.name, "action": "retries full", **source._asdict()},
        )

    def _assigned(self, commits: Mapping[TopicPartition, Committed | None]) -> None:
        self._assignment_table.assign(commits)
        self._runner_pool.notify_quiet()  # what was fenced by that is not waited for any more
        self._paused = frozenset()  # a new assignment starts unpaused, whatever was before
        self.rebalancing_since = None
        if self._again and not self.joined:
            self._say_back()
        self.joined = True
        self.last_record = self._clock()
        sources = self._assignment_table.sources
        logger.info(
            "%s has %s",
            self._config.name,
            ", ".join(map(str, sorted(sources)))
            or "no partitions (the group has more members than partitions)",
            extra={"worker": self._config.name, "action": "assigned"},
        )
        self._say_never_full(len(sources))
        self._runner_pool.wake(1)
        if (told := self._observers.on_assigned) is not None:
            self._tell_assigned(told, sources)

    def _say_back(self) -> None:
        extra = {"worker": self._config.name, "action": "rejoined"}
        logger.info("%s is back in its group", self._config.name, extra=extra)

    def _say_never_full(self, partitions: int) -> None:
        limits, fullest = self._limits, self._limits.fullest(partitions)
        if limits.batch_size > fullest and self._throttle.pass_through(NEVER_FULL, self._clock()) is not None:
            facts = (limits.batch_size, limits.records, limits.partition_records, fullest)
            logger.warning(
                NEVER_FULL,
                self._config.name,
                *facts,
                extra={"worker": self._config.name, "action": "never full"},
            )

    def _tell_assigned(self, told: Tell, sources: tuple[TopicPartition, ...]) -> None:
        """The client waits for this callback; what is async in it is told beside it."""
        pending = told(worker=self._config, partitions=tuple(sorted(sources)))
        if pending is not None:
            self._telling = asyncio.ensure_future(pending)

    async def _revoked(self, sources: frozenset[TopicPartition]) -> None:
        """Start nothing more there, let what runs finish, commit, and only then let go.

        What still runs after that stays in limbo until the group has decided: if the partition comes straight
        back, it goes on; if not, its result is dropped and the next owner repeats it.
        """
        self.rebalancing_since = self._clock()
        leaving = set(self._assignment_table.drain(sources))
        if not leaving:
            return
        self._handler.give_back(self._runner_pool, lambda job: job.assignment in leaving)
        try:
            async with asyncio.timeout(self._revoke_timeout):
                await self._runner_pool.quiet(lambda job: job.assignment in leaving)
        except TimeoutError:
            self._say_unfinished(leaving)
        await self._committer.give_back(self.consumer, leaving)
        self._assignment_table.leave_in_limbo(leaving, self._survivors(leaving))
        await tell_revoked(self._observers, self._config, sources)

    def _survivors(self, leaving: set[Assignment]) -> list[Job]:
        """What may go on if its partition comes straight back. Not batches: half of one cannot move."""
        if self._config.batch_size is not None:
            return []
        return self._runner_pool.busy(lambda job: job.assignment in leaving)

    def _say_unfinished(self, leaving: set[Assignment]) -> None:
        blockers = self._runner_pool.busy(lambda job: job.assignment in leaving)
        logger.warning(
            "%s gives up partitions while %s after revoke_timeout = %g s (%s); unless the "
            "partitions come straight back, their results are dropped and the next owner repeats them",
            self._config.name,
            counted(len(blockers), "message", "still runs", "still run"),
            self._revoke_timeout,
            ", ".join(map(str, blockers[:5])),
            extra={"worker": self._config.name, "action": "revoke timeout"},
        )


async def tell_revoked(observers: Observers, worker: WorkerConfig, sources: Iterable[TopicPartition]) -> None:
    """Tell the plugins that *worker* has *sources* no more, whoever took them."""
    partitions = tuple(sorted(sources))
    if partitions and observers.on_revoked is not None:
        await tell(observers.on_revoked, worker=worker, partitions=partitions)


def _limits(settings: Settings, config: WorkerConfig) -> FlowLimits:
    return FlowLimits(
        records=settings.max_in_flight,
        size=settings.max_in_flight_bytes,
        partition_records=settings.max_partition_in_flight,
        held=settings.max_waiting_retries,
        on_full=config.on_full_retries,
        batch_size=config.batch_size or 0,
    )
