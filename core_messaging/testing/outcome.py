"""The outcome of a test: what became of each message. Holds values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.records import Headers, Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Success:
    """A message that is finished.

    ``coordinates``: ``topic[partition]@offset``. ``message``: what it was decoded to. ``result``: what the handler returned.
    ``attempts``: how many there were.
    """

    coordinates: str
    message: Any
    result: Any
    attempts: int


@dataclass(frozen=True, slots=True)
class Retry:
    """An attempt that failed and was followed by another one. ``attempt``: 1 for the first. ``delay``: seconds."""

    coordinates: str
    attempt: int
    error: Exception
    delay: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that failed for good: it was dead-lettered or, without a ``dlq_topic``, skipped."""

    coordinates: str
    error: Exception
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record in the dead-letter queue, and the exception that is the reason."""

    coordinates: str  # of the original message
    key: bytes | None
    value: bytes | None
    headers: Headers
    error: Exception


@dataclass(slots=True)
class HookCall:
    """One call of the plugin under test. ``facts``: its arguments by name. ``error``: what it raised, or None."""

    hook: str
    facts: Mapping[str, Any]
    error: BaseException | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened in a test. Each tuple is in the order in which it happened.

    ``results``: the records in the output topic. ``committed``: the next offset to read, for each partition that has a
    commit. ``calls``: those of the plugins under test. ``broker``: holds all records and commits, for further checks.
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
        """Return the calls of one hook, by its name: ``"on_success"``."""
        return tuple(call for call in self.calls if call.hook == hook)

    def records(self, topic: str) -> tuple[Record, ...]:
        """Return all records of *topic*, also those that the test put there; none if the topic does not exist."""
        return tuple(self.broker.records(topic))
