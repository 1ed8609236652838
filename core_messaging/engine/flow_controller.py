"""Pauses and resumes the partitions of one consumer, and says how many records the next fetch may bring."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from core_messaging.broker import Consumer
from core_messaging.config import WorkerConfig
from core_messaging.engine.components import Components
from core_messaging.engine.poison_pill import PoisonPillSearch
from core_messaging.logs.lasting_state import LastingState, so_far
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.flow_control import FlowLimits, FlowPlan, plan, quiet
from core_messaging.settings import Settings

LITTLE_IN_HAND = 64  # messages
SAY_EVERY = 60.0  # seconds between two lines about the same state of a partition

FULL_AND_WAITING = (
    "as many messages wait for retries, or behind one, as max_waiting_retries lets them; its intake stops until "
    "half of them are through"
)
FULL_AND_EVICTING = (
    "as many messages wait for retries, or behind one, as max_waiting_retries lets them; the longest waiting are "
    "dead-lettered until half of them are left"
)
AWAITING_UNBLOCK = (
    "no more keys can be blocked, and as many messages wait for one of them to be replayed or cleared as max_in_flight "
    "(or max_in_flight_bytes) lets them; its intake stops. Start the worker with a larger one, so that it reads the records "
    "that lift the blocks"
)
METADATA_FULL = (
    "so many messages are finished between unfinished ones that the commit metadata can hardly hold them all; its intake "
    "stops until it can"
)
NEVER_FULL = (
    "%s: no batch can have batch_size = %d messages, because max_in_flight = %d and max_partition_in_flight = %d let a "
    "partition hold %d. Its batches start with as many as there is room for; lower batch_size, or raise what is too small"
)


class FlowController:
    """Applies ``rules.flow_control.plan`` to one consumer."""

    def __init__(
        self, components: Components, consumer: Consumer, poison_pill_search: PoisonPillSearch
    ) -> None:
        self._consumer = consumer
        self._schedule = components.schedule
        self._is_paused = components.is_paused
        self._assignment_table = components.assignment_table
        self._runner_pool = components.runner_pool
        self._poison_pill_search = poison_pill_search
        self._limits = _limits(components.settings, components.config)
        self._clock = components.loop.time
        self._log = components.worker_log
        self._states = LastingState(SAY_EVERY)
        self.paused: frozenset[TopicPartition] = frozenset()
        self.is_full = False  # it fetches less than there is, on purpose

    def assigned(self, sources: Iterable[TopicPartition]) -> None:
        """The group has added *sources*. A new assignment starts unpaused, unless a person paused it.

        Now, and not before the next fetch: a fetch that waits already would bring their records.
        """
        held = tuple(source for source in sources if self._is_paused(source))
        self.paused = self.paused.difference(sources).union(held)
        if held:
            self._consumer.pause(held)
        self._say_never_full(len(self._assignment_table.sources))

    def apply_pauses(self) -> None:
        """Pause what a person has paused since the last look.

        At once, and not before the next fetch: a fetch that waits already would bring their records.
        """
        held = tuple(
            source
            for source in self._assignment_table.sources
            if source not in self.paused and self._is_paused(source)
        )
        if held:
            self._consumer.pause(held)
            self.paused = self.paused.union(held)

    def balance(self) -> int:
        """Pause the partitions that are full and resume those that have room.

        How many records the next fetch may bring; 0: do not fetch.
        """
        held_back = set(self._poison_pill_search.assignments)
        held_back |= self._schedule.without_room(self._limits.shared)
        held_back |= {a for a in self._assignment_table.assignments if self._is_paused(a.source)}
        todo = plan(self._assignment_table.assignments, self.paused, self._limits, held_back)
        self._runner_pool.runners.wake(self._schedule.cut_off(todo.closed))
        self._pause_and_resume(todo)
        self._relieve(todo)
        room = min(todo.room, self._schedule.wanted(self._runner_pool.occupied))
        if any(assignment.crash_record.crashes for assignment in self._assignment_table.assignments):
            room = min(room, self._room_after_a_crash())
        self.is_full = not room or bool(self.paused)
        return room

    def _pause_and_resume(self, todo: FlowPlan) -> None:
        if todo.pause or todo.resume:
            self._consumer.pause(todo.pause)
            self._consumer.resume(todo.resume)
            self.paused = (self.paused | set(todo.pause)) - set(todo.resume)

    def idle_partitions(self, working: Collection[Assignment]) -> list[TopicPartition]:
        """Partitions that may have records at the broker and have nothing to start, while *working* have enough."""
        return quiet(self._assignment_table.assignments, working, self.paused)

    def pause_all_but(self, sources: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        """Pause for one fetch all partitions but *sources*. Those to give to ``resume_all`` after it."""
        others = set(self._assignment_table.sources).difference(sources, self.paused)
        self._consumer.pause(tuple(others))
        return frozenset(others)

    def resume_all(self, sources: frozenset[TopicPartition]) -> None:
        """Resume *sources*, except those that are full by now."""
        self._consumer.resume(tuple(sources - self.paused))

    def ran_dry(self, brought: Collection[TopicPartition]) -> None:
        """A fetch that had room for more brought records of *brought* only: batches of the others do not wait for more."""
        self._schedule.ran_dry(set(self._assignment_table.sources).difference(self.paused, brought))

    def _room_after_a_crash(self) -> int:
        """All that is fetched and not finished is suspected if this process crashes too. So fetch little more than runs."""
        size = max(1, self._limits.batch_size)
        most = max(LITTLE_IN_HAND, self._runner_pool.count * size * 5 // 4)
        return max(0, most - sum(a.in_flight for a in self._assignment_table.assignments))

    def _relieve(self, todo: FlowPlan) -> None:
        """Do what ``on_full_retries`` says where too many messages wait for retries, and log it."""
        evicts = self._limits.on_full == "dead-letter"
        for assignment, count in todo.over_budget:
            if evicts:
                self._schedule.evict(assignment, count)
            self._warn_full(
                "retries full", assignment.source, FULL_AND_EVICTING if evicts else FULL_AND_WAITING
            )
        for source in todo.metadata_full:
            self._warn_full("metadata full", source, METADATA_FULL)
        for source in todo.awaiting_unblock:
            self._warn_full("waiting for unblock", source, AWAITING_UNBLOCK)

    def _warn_full(self, action: str, source: TopicPartition, state: str) -> None:
        seconds = self._states.seen((source, state), self._clock())
        if seconds is not None:
            text = "%s: in %s %s; nothing is lost%s"
            self._log.warning(action, text, source, state, so_far(seconds), at=source)

    def _say_never_full(self, partitions: int) -> None:
        limits, fullest = self._limits, self._limits.fullest(partitions)
        if limits.batch_size > fullest and self._states.seen(NEVER_FULL, self._clock()) is not None:
            facts = (limits.batch_size, limits.records, limits.partition_records, fullest)
            self._log.warning("never full", NEVER_FULL, *facts)


def _limits(settings: Settings, config: WorkerConfig) -> FlowLimits:
    return FlowLimits(
        records=settings.max_in_flight,
        size=settings.max_in_flight_bytes,
        partition_records=settings.max_partition_in_flight,
        waiting_retries=settings.max_waiting_retries,
        on_full=config.on_full_retries,
        batch_size=config.batch_size or 0,
    )
