"""What the parts of one running worker share."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from dataclasses import dataclass, field

from core_messaging.broker import Publisher
from core_messaging.config import WorkerConfig
from core_messaging.engine.assignments import AssignmentTable
from core_messaging.engine.counters import Counters
from core_messaging.engine.handler import Handler
from core_messaging.engine.lifecycle import Lifecycle
from core_messaging.engine.pauses import OwnPause, Pauses
from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.engine.timer import Timer
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.observers import Observers
from core_messaging.records import TopicPartition
from core_messaging.rules.schedule import Schedule
from core_messaging.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Made once by the engine and handed to each part of it."""

    config: WorkerConfig
    lifecycle: Lifecycle
    handler: Handler
    schedule: Schedule
    runner_pool: RunnerPool
    assignment_table: AssignmentTable
    publisher: Publisher
    observers: Observers
    pauses: Pauses
    control_topic: str | None
    settings: Settings
    loop: AbstractEventLoop
    timer: Timer
    worker_log: WorkerLog
    counters: Counters = field(default_factory=Counters)
    own_pause: OwnPause = field(default_factory=OwnPause)

    def is_paused(self, source: TopicPartition) -> bool:
        """Whether a person or the worker itself has paused *source*."""
        return self.own_pause.is_on or self.pauses.is_paused(self.config.group_id, source)

    def why_paused(self, source: TopicPartition) -> str:
        """Who has paused *source*, in words; empty: nobody."""
        return self.own_pause.reason or self.pauses.reason(self.config.group_id, source)
