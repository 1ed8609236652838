"""What ties one process to the fleet: it obeys the control topic, and says in the state topic how it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from importlib.metadata import version

from core_messaging.broker import Publisher
from core_messaging.errors import BrokerError, ControlUnread
from core_messaging.kafka.topic_follower import TopicFollower
from core_messaging.options import Topic
from core_messaging.records import Outgoing, Record, TopicPartition
from core_messaging.rules.commands import COMMAND
from core_messaging.rules.fleet_state import (
    LONGEST_INTERVAL,
    ProcessState,
    WorkerState,
    encode_state,
    state_topic_of,
)
from core_messaging.rules.pauses import Pause, PauseTable, PauseTarget
from core_messaging.runtime.command_desk import CommandDesk
from core_messaging.runtime.process_commands import ProcessCommands
from core_messaging.runtime.retention_watch import RetentionWatch
from core_messaging.settings import Settings
from core_messaging.snapshot import Snapshot, WorkerSnapshot
from core_messaging.text.wording import until

AGAIN = 2.0  # seconds between two tries to follow the control topic
LAST_REPORT = 3.0  # seconds that the last record may take

logger = logging.getLogger("core_messaging.worker")


def control_topics(settings: Settings) -> list[Topic]:
    """The topics of the fleet as they are made: control and state. None where ``kafka_control_topic`` is not set."""
    if settings.kafka_control_topic is None:
        return []
    name = settings.kafka_control_topic
    # Nobody reads what is older than some minutes. Small segments: a segment that is written to is not compacted.
    state = {
        "cleanup.policy": "compact,delete",
        "retention.ms": 24 * 3600 * 1000,
        "segment.ms": 3600 * 1000,
        "segment.bytes": 64 * 1024 * 1024,
    }
    return [
        Topic(name, partitions=1, config={"cleanup.policy": "compact"}),
        Topic(state_topic_of(name), partitions=1, config=state),
    ]


class FleetMember:
    """One process of the fleet. Its ``reason`` is what the engine asks before it fetches."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        snapshot: Callable[[], Snapshot],
        apply_pauses: Callable[[], None],
        commands: ProcessCommands,
    ) -> None:
        """*apply_pauses* is called when the pauses have changed, before this process says that it has read of them."""
        self._settings = settings
        self._publisher = publisher
        self._snapshot = snapshot
        self._apply_pauses = apply_pauses
        self._topic, self._state_topic = control_topics(settings)
        self._table = PauseTable()
        self._follower = TopicFollower(settings, self._topic, self._take)
        self._changed = asyncio.Event()
        self._ignored = 0
        self._interval = min(settings.metrics_interval, LONGEST_INTERVAL)
        self._retention = RetentionWatch(settings, snapshot, self._interval)
        self._id = str(uuid.uuid4())
        self._version = version("core-messaging")
        self._desk = CommandDesk(self._id, self._version, commands.handlers, self._publish)
        self._commands = commands
        self._started = time.time()

    def is_paused(self, group_id: str, source: TopicPartition) -> bool:
        """Whether *source* of *group_id* is paused now."""
        return bool(self._table) and self._table.covering(group_id, source, time.time()) is not None

    def reason(self, group_id: str, source: TopicPartition) -> str:
        """Who has paused *source* of *group_id*, in words; empty: nobody."""
        found = self._table.covering(group_id, source, time.time())
        return "" if found is None else _words(*found)

    async def run(self, ready: asyncio.Event) -> None:
        """Follow and report until cancelled. Sets *ready* when the control topic is read to its end.

        A broker that does not answer ends nothing: the last known pauses hold.
        """
        tasks = [
            asyncio.create_task(self._follow(ready), name="control topic"),
            asyncio.create_task(self._desk.obey_forever(), name="commands"),
            asyncio.create_task(self._retention.watch_forever(), name="retention"),
        ]
        try:
            while True:
                await self._report()
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._interval):
                        await self._changed.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._commands.close()
            await self._report_end()

    async def wait_until_read(self, ready: asyncio.Event) -> None:
        """Wait until the control topic is read, ``kafka_control_timeout`` seconds at most.

        Raises ControlUnread where that time is over and ``kafka_control_required`` is set.
        """
        try:
            async with asyncio.timeout(self._settings.kafka_control_timeout):
                await ready.wait()
        except TimeoutError:
            seconds = self._settings.kafka_control_timeout
            if self._settings.kafka_control_required:
                raise ControlUnread(self._topic, seconds) from None
            logger.warning(
                "the control topic %s was not read within %g s (kafka_control_timeout); the workers start without it, and "
                "what is paused there is paused when it is read",
                self._topic,
                seconds,
                extra={"action": "control unread"},
            )

    async def _follow(self, ready: asyncio.Event) -> None:
        told = False
        while True:
            try:
                await self._follower.follow(ready)
            except BrokerError as error:
                if not told:
                    logger.warning(
                        "the control topic %s cannot be read (%s); what is paused stays paused, and it is tried again",
                        self._topic,
                        error,
                        extra={"action": "control lost"},
                    )
                told = True
            await asyncio.sleep(AGAIN)

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            if (record.key or b"").startswith(COMMAND):
                if not self._desk.take(record.key, record.value, time.time()):
                    self._say_ignored(record)
                continue
            target = self._table.apply(record.key, record.value)
            if target is None:
                self._say_ignored(record)
            elif any(worker.group_id == target.group for worker in self._snapshot().workers):
                self._say(target)
        self._apply_pauses()
        self._changed.set()

    def _say(self, target: PauseTarget) -> None:
        pause = self._table.lasting(time.time()).get(target)
        if pause is None:
            logger.info("%s goes on", target, extra={"action": "resumed"})
        else:
            logger.warning("%s is %s", target, _words(target, pause), extra={"action": "paused"})

    def _say_ignored(self, record: Record) -> None:
        self._ignored += 1
        if self._ignored == 1:
            logger.warning(
                "the control topic %s has a record at offset %d that cannot be read; it is ignored, and so are others like it",
                self._topic,
                record.offset,
                extra={"action": "control ignored"},
            )

    async def _report(self) -> None:
        await self._publish(self._id.encode(), encode_state(self._state()))

    async def _report_end(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_REPORT):
                await self._publish(self._id.encode(), None)

    async def _publish(self, key: bytes, value: bytes | None) -> None:
        try:
            record = Outgoing(self._state_topic, value, key)
            await (await self._publisher.publish(record))
        except BrokerError as error:
            logger.debug("the state of this process was not published: %s", error)

    def _state(self) -> ProcessState:
        snapshot = self._snapshot()
        return ProcessState(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=self._version,
            at=snapshot.time,
            started=self._started,
            interval=self._interval,
            workers=[self._worker(worker, snapshot.time) for worker in snapshot.workers],
            control={str(number): offset for number, offset in self._follower.position.items()},
            memory=_memory(),
        )

    def _worker(self, worker: WorkerSnapshot, now: float) -> WorkerState:
        at_risk = [str(each.source) for each in self._retention.at_risk if each.worker == worker.name]
        return WorkerState(
            name=worker.name,
            group=worker.group_id,
            condition=worker.condition.value,
            reason=worker.reason,
            partitions=[str(TopicPartition(*source)) for source in sorted(worker.partitions)],
            paused=[str(TopicPartition(*s)) for s, each in sorted(worker.partitions.items()) if each.paused],
            at_risk=at_risk,
            counters=dict(worker.counters),
            lag=worker.lag,
            useful_lag=worker.useful_lag,
            in_flight=worker.in_flight,
            running=worker.running,
            waiting_retries=worker.waiting_retries,
            oldest=worker.oldest_unfinished_age(now),
            slowest=worker.slowest,
            slowest_seconds=worker.slowest_seconds,
        )


def _words(target: PauseTarget, pause: Pause) -> str:
    by = f" by {pause.by}" if pause.by else ""
    part = "" if target.topic is None else f" ({target})"
    return f"paused{by}{until(pause.until)}{part}"


def _memory() -> int:
    """The largest resident size of this process so far, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
