"""What became of messages that were worked off in a test. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.records import Headers, Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Success:
    """A message that is done. ``message`` is what it was decoded to, ``result`` what the handler returned."""

    coordinates: str
    message: Any
    result: Any
    attempts: int


@dataclass(frozen=True, slots=True)
class Retry:
    """An attempt that failed and was followed by another one. ``attempt`` is 1 for the first; ``delay``: seconds."""

    coordinates: str
    attempt: int
    error: Exception
    delay: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that failed for good, dead-lettered or (without a ``dlq_topic``) skipped."""

    coordinates: str
    error: Exception
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record in the dead-letter queue, beside the exception that brought it there."""

    coordinates: str  # of the message it was
    key: bytes | None
    value: bytes | None
    headers: Headers
    error: Exception


@dataclass(slots=True)
class HookCall:
    """One call of the plugin under test. ``facts``: the arguments it asked for. ``error``: what it raised."""

    hook: str
    facts: Mapping[str, Any]
    error: BaseException | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened, each tuple in the order in which it did.

    ``results``: the records on the output topic. ``committed``: the offset to read next, per partition that has a
    commit. ``calls``: of the plugins under test. ``broker``: where everything is, for what is not told here.
    """

    successes: tuple[Success, ...]
    retries: tuple[Retry, ...]
    failures: tuple[Failure, ...]
    dead_letters: tuple[DeadLetter, ...]
    results: tuple[Record, ...]
    committed: Mapping[TopicPartition, int]
    calls: tuple[HookCall, ...]
    broker: MemoryBroker = field(repr=False)

    def calls_of(self, hook: str) -> tuple[HookCall, ...]:
        """The calls of one hook, by its name: ``"on_success"``."""
        return tuple(call for call in self.calls if call.hook == hook)

    def records(self, topic: str) -> tuple[Record, ...]:
        """All records of any *topic*, those that were put into it too; none where there is no such topic."""
        return tuple(self.broker.records(topic))
