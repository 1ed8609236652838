"""The values that options of a worker may have; ``Topic``, a topic with its declaration; ``DlqLimit``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Self

from core_messaging.errors import ConfigurationError

Ordering = Literal["key", "partition", "none"]
OnExhausted = Literal["skip", "stop"]
OnDeadLetter = Literal["continue", "follow"]
OnFullRetries = Literal["wait", "dead-letter"]
Backoff = Literal["exponential", "linear", "fixed"]


class Topic(str):
    """A topic with its declaration: ``Topic("orders", partitions=12, config={"retention.ms": 86_400_000})``.

    It is a str, and can be used wherever a topic name can. ``core kafka topics`` compares it with the cluster, and
    ``--create-topics`` creates it. The settings or the cluster decide about what is not given.

    - ``partitions``: their number, from 1 up
    - ``replication``: the number of replicas, from 1 up
    - ``config``: Kafka's topic configs, by their names

    Raises ConfigurationError.
    """

    __slots__ = ("config", "partitions", "replication")
    partitions: int | None
    replication: int | None
    config: Mapping[str, str]

    def __new__(
        cls,
        name: str,
        *,
        partitions: int | None = None,
        replication: int | None = None,
        config: Mapping[str, object] | None = None,
    ) -> Self:
        """Make the topic *name* with its declaration. Raises ConfigurationError for a number below 1."""
        topic = super().__new__(cls, name)
        topic._declare(partitions, replication, config or {})
        return topic

    def _declare(self, partitions: int | None, replication: int | None, config: Mapping[str, object]) -> None:
        for what, number in (("partitions", partitions), ("replication", replication)):
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
                raise ConfigurationError(
                    f"Topic({str(self)!r}): {what} = {number!r}; write a whole number from 1 up"
                )
        self.partitions = partitions
        self.replication = replication
        self.config = MappingProxyType({name: _config_text(value) for name, value in config.items()})

    def __reduce__(self) -> tuple[object, ...]:
        return _topic, (str(self), self.partitions, self.replication, dict(self.config))


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """The input topics of a worker by a regular expression, which matches the whole name of a topic.

    Topics whose name begins with two underscores are internal to Kafka or its tools, and never match. ``left_out``: names
    that do not match either, because the worker or the runtime writes to these topics.
    """

    pattern: re.Pattern[str]
    left_out: frozenset[str] = frozenset()

    def matches(self, topic: str) -> bool:
        """Whether *topic* is an input topic."""
        internal = topic.startswith("__")
        return not internal and topic not in self.left_out and self.pattern.fullmatch(topic) is not None

    def found_in(self, topics: Iterable[str]) -> tuple[str, ...]:
        """Return those of *topics* that are input topics, in order of their names."""
        return tuple(sorted(filter(self.matches, topics)))

    def __str__(self) -> str:
        return self.pattern.pattern


def same_topic(one: Topic, other: Topic) -> bool:
    """Whether both declare the same topic in the same way."""
    return one.__reduce__() == other.__reduce__()


def _topic(name: str, partitions: int | None, replication: int | None, config: Mapping[str, str]) -> Topic:
    return Topic(name, partitions=partitions, replication=replication, config=config)


def _config_text(value: object) -> str:
    """Return *value* as Kafka writes it: ``true``, not ``True``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class DlqLimit:
    """How many dead letters are too many: ``DlqLimit(consecutive=50)``, or ``DlqLimit(count=100, share=0.2, window=60)``.

    Beyond it the worker pauses. A broken downstream then costs a pause, and not a dead-letter queue full of good messages.

    - ``consecutive``: so many dead letters may follow each other without a success between them
    - ``count``: so many dead letters may come within ``window`` seconds
    - ``share``: beside ``count``: more are allowed too, as long as they are at most this share (0 to 1) of the messages that
      succeed or are dead-lettered in the window

    Give ``consecutive`` or ``count``, or both. Raises ConfigurationError.
    """

    consecutive: int | None = None
    count: int | None = None
    share: float = 0.0
    window: float = 60.0

    def __post_init__(self) -> None:
        if self.consecutive is None and self.count is None:
            raise ConfigurationError(
                "DlqLimit() limits nothing; give it consecutive=50, or count=100, or both"
            )
        for name in ("consecutive", "count"):
            number = getattr(self, name)
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
                raise ConfigurationError(f"DlqLimit({name}={number!r}); write a whole number from 0 up")
        if not 0 <= self.share < 1:
            raise ConfigurationError(f"DlqLimit(share={self.share!r}); write a number from 0 up, and below 1")
        if not 0 < self.window < float("inf"):
            raise ConfigurationError(f"DlqLimit(window={self.window!r}); write seconds, more than 0")
        if self.share and self.count is None:
            raise ConfigurationError(
                f"DlqLimit(share={self.share!r}) without a count; a share of very few messages says nothing. Add count=100"
            )
