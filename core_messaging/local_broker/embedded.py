"""A Kafka broker inside this process: the mock cluster of the confluent-kafka wheel.

It speaks the real protocol on a real port of 127.0.0.1. What it cannot do is in LIMITS.
"""

from __future__ import annotations

import importlib.util
from types import TracebackType
from typing import Any, Self

from core_messaging.errors import BrokerStartFailed, ToolMissing
from core_messaging.local_broker.ports import HOST

# Fixed by librdkafka; neither can be chosen by a setting of it.
PARTITIONS = 4
RETENTION_BYTES = 5 * 1024 * 1024

LIMITS = (
    "in memory only: everything is gone when it stops",
    "one member a consumer group: a second worker process of the same group is refused",
    f"topics are made on first use, always with {PARTITIONS} partitions; no admin calls",
    "about 5 MB a partition: older messages are dropped, read or not",
)

_START_TIMEOUT = 10.0


def is_installed() -> bool:
    """Whether the extra ``core-messaging[embedded]`` is there; imports nothing."""
    return importlib.util.find_spec("confluent_kafka") is not None


class EmbeddedBroker:
    """One mock broker for as long as the ``with`` block lasts; ``address`` is ``host:port``.

    >>> with EmbeddedBroker() as broker:  # doctest: +SKIP
    ...     broker.address
    '127.0.0.1:42819'

    The port is the operating system's choice. Raises ToolMissing where confluent-kafka is not installed,
    BrokerStartFailed where it does not start.
    """

    def __init__(self) -> None:
        self._cluster: Any = None
        self.address = ""

    def __enter__(self) -> Self:
        self._cluster = _mock_cluster()
        try:
            self.address = _address_of(self._cluster)
        except Exception as error:
            self.__exit__(None, None, None)
            raise BrokerStartFailed(
                "the embedded Kafka broker", str(error), "confluent-kafka's mock cluster"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The cluster lives in the client object and ends with its last reference.
        self._cluster = None

    def create_topic(self, name: str) -> None:
        """Make a topic with PARTITIONS partitions; one that exists is fine."""
        # Asking for a topic's metadata makes it; this broker has no other way.
        self._cluster.list_topics(name, timeout=_START_TIMEOUT)


def _mock_cluster() -> Any:
    try:
        from confluent_kafka import Producer  # noqa: PLC0415 - an extra, and 30 ms that only this needs
    except ImportError as error:
        raise ToolMissing(
            "the embedded Kafka broker",
            "the package confluent-kafka",
            "pip install 'core-messaging[embedded]'",
        ) from error
    # The bootstrap address is never used: with test.mock.* the client talks to its own cluster only.
    return Producer({"bootstrap.servers": f"{HOST}:1", "test.mock.num.brokers": 1, "log_level": 0})


def _address_of(cluster: Any) -> str:
    brokers = cluster.list_topics(timeout=_START_TIMEOUT).brokers
    (broker,) = brokers.values()
    return f"{broker.host}:{broker.port}"
