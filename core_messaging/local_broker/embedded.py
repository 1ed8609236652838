"""A Kafka broker inside this process: the mock cluster of the confluent-kafka package.

It speaks the Kafka protocol on a port of 127.0.0.1. LIMITS lists what it cannot do.
"""

from __future__ import annotations

import importlib.util
import threading
from types import TracebackType
from typing import Any, Self

from core_messaging.errors import BrokerStartFailed, ToolMissing
from core_messaging.local_broker.ports import HOST

# librdkafka fixes both; no setting changes them.
PARTITIONS = 4
RETENTION_BYTES = 5 * 1024 * 1024

LIMITS = (
    "in memory only: all messages are gone when it stops",
    "one member in a consumer group: a second worker process of the same group is refused",
    f"topics are created at their first use, always with {PARTITIONS} partitions; no admin calls",
    "about 5 MB in a partition: older messages are deleted, read or not",
)

_START_TIMEOUT, _STOP_TIMEOUT = 10.0, 5.0  # seconds


def is_installed() -> bool:
    """Whether the extra ``core-messaging[embedded]`` is installed. Imports nothing."""
    return importlib.util.find_spec("confluent_kafka") is not None


class EmbeddedBroker:
    """Runs one broker for as long as the ``with`` block lasts; ``address`` is ``host:port``.

    >>> with EmbeddedBroker() as broker:  # doctest: +SKIP
    ...     broker.address
    '127.0.0.1:42819'

    The operating system chooses the port. Raises ToolMissing where confluent-kafka is not installed, BrokerStartFailed where
    the broker does not start.
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
        """End the broker, within a bound.

        The cluster is part of the client object and ends with its last reference. If clients were connected while this
        process was stopped (SIGSTOP), librdkafka sometimes waits for ever for a thread of its own. So another thread drops
        the reference, and this process ends in any case.
        """
        clusters, self._cluster = [self._cluster], None
        ending = threading.Thread(target=clusters.clear, daemon=True, name="embedded broker ends")
        ending.start()
        ending.join(_STOP_TIMEOUT)

    def create_topic(self, name: str) -> None:
        """Create a topic with PARTITIONS partitions; a topic that exists is no error."""
        # A request for the metadata of a topic creates it. This broker has no other way.
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
    # The bootstrap address is not used: with test.mock.* the client connects to its own cluster only.
    return Producer({"bootstrap.servers": f"{HOST}:1", "test.mock.num.brokers": 1, "log_level": 0})


def _address_of(cluster: Any) -> str:
    brokers = cluster.list_topics(timeout=_START_TIMEOUT).brokers
    (broker,) = brokers.values()
    return f"{broker.host}:{broker.port}"
