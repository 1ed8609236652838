"""Makes the consumers, publishers and topic tools of a Kafka cluster, on aiokafka."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import errors as kafka_errors
from aiokafka.admin import NewTopic

from core_messaging.broker import Subscription
from core_messaging.errors import BrokerError
from core_messaging.kafka.client_lifecycle import admin_of
from core_messaging.kafka.consumer import KafkaConsumer
from core_messaging.kafka.errors import as_broker_error
from core_messaging.kafka.publisher import KafkaPublisher
from core_messaging.kafka.topic_creation import create_topics
from core_messaging.kafka.topic_lookup import look_up_topics
from core_messaging.options import Topic
from core_messaging.settings import Settings


class KafkaBroker:
    """Makes consumers, publishers and topic tools for the cluster that *settings* name. Connects to nothing itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made_anew: set[str] = set()  # topics that were deleted while this process read them
        self._taken: set[str] = set()  # static identities that other processes have

    @property
    def address(self) -> str:
        """The bootstrap servers: ``host:port,host:port``."""
        return self._settings.kafka_bootstrap_servers

    def consumer(self, subscription: Subscription) -> KafkaConsumer:
        """Return a new consumer; it connects at its ``start``."""
        return KafkaConsumer(self._settings, subscription, self._taken, self._made_anew)

    def publisher(self) -> KafkaPublisher:
        """Return a new publisher; it connects at its ``start``."""
        return KafkaPublisher(self._settings)

    def topics(self) -> KafkaTopics:
        """Return what looks topics up and creates them; each call connects for itself."""
        return KafkaTopics(self._settings)

    def __repr__(self) -> str:
        return f"<KafkaBroker {self.address}>"


class KafkaTopics:
    """Looks topics up and creates them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def missing(self, topics: Sequence[str]) -> Sequence[str]:
        """Return those of *topics* that do not exist. Creates none, also where the cluster creates topics by itself.

        At the embedded broker none is missing: it creates a topic at its first use, and has no request to create one.

        Raises BrokerUnreachable, BrokerRefused, or another BrokerError.
        """
        async with admin_of(self._settings) as admin:
            try:
                found = await look_up_topics(admin, topics)
            except kafka_errors.KafkaError as error:
                raise as_broker_error(error, self._settings) from error
        return [] if found.cluster.is_embedded else found.missing

    async def create(self, topics: Sequence[str], partitions: int, replication: int) -> None:
        """Create *topics*; a topic that exists already is no error.

        Raises BrokerError where the cluster refuses, or where it does not answer.
        """
        new = [_new_topic(topic, partitions, replication) for topic in topics]
        async with admin_of(self._settings) as admin:
            try:
                refused = await create_topics(admin, new)
            except TimeoutError as error:
                raise BrokerError(
                    f"the cluster's controller did not answer; topics {', '.join(topics)} may or may not exist. Try again"
                ) from error
            except kafka_errors.KafkaError as error:
                raise as_broker_error(error, self._settings) from error
        for topic, reason in refused.items():
            raise BrokerError(f"topic {topic} was not created: {reason}; create it with your own tools")


def _new_topic(topic: str, partitions: int, replication: int) -> NewTopic:
    if not isinstance(topic, Topic):
        return NewTopic(topic, partitions, replication)
    return NewTopic(
        str(topic),
        topic.partitions or partitions,
        topic.replication or replication,
        topic_configs=dict(topic.config),
    )
