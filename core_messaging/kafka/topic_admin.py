"""Describes the topics of a cluster, creates them, adds partitions and sets configs. Deletes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from core_messaging.errors import BrokerError
from core_messaging.kafka.client_lifecycle import admin_of
from core_messaging.kafka.errors import as_broker_error
from core_messaging.kafka.topic_creation import create_topics
from core_messaging.kafka.topic_lookup import look_up_topics
from core_messaging.rules.topic_plan import ActualTopic, Change, Kind
from core_messaging.settings import Settings

# DescribeConfigs: where a value comes from (org.apache.kafka.common.requests.DescribeConfigsResponse.ConfigSource).
_OF_THE_TOPIC = 1


class TopicAdmin:
    """Changes topics. Opened by ``topic_admin(settings)``."""

    def __init__(self, settings: Settings, admin: Any) -> None:
        self._settings = settings
        self._admin = admin

    async def names(self) -> list[str]:
        """Return the names of all topics that this client may see. Raises BrokerError."""
        with self._errors():
            return sorted(await self._admin.list_topics())

    async def describe(self, topics: Sequence[str]) -> dict[str, ActualTopic]:
        """Return those of *topics* that exist, by name. Creates none. Raises BrokerError."""
        with self._errors():
            found = await look_up_topics(self._admin, topics)
            names = [topic for topic in topics if topic in found.partitions]
            configs = await self._configs(names)
        return {
            name: ActualTopic(
                name,
                len(found.partitions[name]),
                found.replicas[name],
                {key: value for key, (value, _source) in configs[name].items()},
            )
            for name in names
        }

    async def _configs(self, topics: Sequence[str]) -> dict[str, dict[str, tuple[str, int]]]:
        """Return the configs: topic -> config -> its value, and where it comes from."""
        if not topics:
            return {}
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        configs: dict[str, dict[str, tuple[str, int]]] = {}
        try:
            answers = await self._admin.describe_configs(asked)
        except kafka_errors.IncompatibleBrokerVersion:  # the embedded broker has no such request
            return {topic: {} for topic in topics}
        for answer in answers:
            for code, message, _type, name, entries in answer.resources:
                _require(code, message, name)
                configs[name] = {entry[0]: (entry[1] or "", int(entry[3])) for entry in entries}
        return configs

    async def apply(self, change: Change) -> None:
        """Do one step of a plan. Raises BrokerError if the cluster refuses it."""
        with self._errors():
            if change.kind is Kind.CREATE:
                await self._create(change)
            elif change.kind is Kind.ADD_PARTITIONS:
                await self._admin.create_partitions({change.topic: NewPartitions(change.partitions)})
            elif change.kind is Kind.ALTER_CONFIG:
                await self._alter(change)

    async def _create(self, change: Change) -> None:
        new = NewTopic(change.topic, change.partitions, change.replication, topic_configs=dict(change.config))
        for topic, reason in (await create_topics(self._admin, [new])).items():
            raise BrokerError(_refused(topic, reason))

    async def _alter(self, change: Change) -> None:
        """Set configs. AlterConfigs replaces all configs of the topic, so those that are set already are sent too."""
        configs = await self._configs([change.topic])
        kept = {
            key: value for key, (value, source) in configs[change.topic].items() if source == _OF_THE_TOPIC
        }
        resource = ConfigResource(ConfigResourceType.TOPIC, change.topic, kept | dict(change.config))
        for answer in await self._admin.alter_configs([resource]):
            for code, message, _type, name in answer.resources:
                _require(code, message, name)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise BrokerError(
                "the cluster's controller did not answer; what was asked of it may or may not be done. Try again"
            ) from error
        except kafka_errors.KafkaError as error:
            raise as_broker_error(error, self._settings) from error


def _require(code: int, message: str | None, topic: str) -> None:
    kind = kafka_errors.for_code(code)
    if kind is not kafka_errors.NoError:
        raise BrokerError(_refused(topic, message or kind.__name__))


def _refused(topic: str, reason: str) -> str:
    return f"topic {topic}: the cluster refuses it: {reason}"


@asynccontextmanager
async def topic_admin(settings: Settings) -> AsyncIterator[TopicAdmin]:
    """Provide a tool that is connected inside the block. Raises BrokerUnreachable, BrokerRefused."""
    async with admin_of(settings) as admin:
        yield TopicAdmin(settings, admin)
