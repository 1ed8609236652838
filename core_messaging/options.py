"""The values that options of a worker may have, and ``Topic``, a topic with its declaration."""

from __future__ import annotations

from collections.abc import Mapping
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


def same_topic(one: Topic, other: Topic) -> bool:
    """Whether both declare the same topic in the same way."""
    return one.__reduce__() == other.__reduce__()


def _topic(name: str, partitions: int | None, replication: int | None, config: Mapping[str, str]) -> Topic:
    return Topic(name, partitions=partitions, replication=replication, config=config)


def _config_text(value: object) -> str:
    """Return *value* as Kafka writes it: ``true``, not ``True``."""
    return str(value).lower() if isinstance(value, bool) else str(value)
