"""What all workers of a process share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core_messaging.broker import Broker, Publisher
from core_messaging.codecs import Codec
from core_messaging.engine.handler_threads import ProcessThreads
from core_messaging.engine.pauses import NoPauses, Pauses
from core_messaging.observers import NOBODY, Observers
from core_messaging.settings import Settings


@dataclass(frozen=True, kw_only=True)
class SharedResources:
    """Made once by the runtime, and handed to each engine."""

    broker: Broker
    publisher: Publisher
    settings: Settings
    threads: ProcessThreads  # for plain def code
    observers: Observers = NOBODY
    pauses: Pauses = field(default_factory=NoPauses)
    control_topic: str | None = None  # where a pause is stored that lasts beyond a restart
    codecs: Mapping[str, Codec] = field(default_factory=dict)  # of the workers that name one
    ends: Callable[[str, BaseException], None] = lambda _worker, _error: None  # one begins to end by itself
