"""The settings of the project, for commands that ask Kafka itself."""

from __future__ import annotations

from pathlib import Path

from core_messaging.discovery.project import Project
from core_messaging.errors import KafkaDisabled, NotKafka
from core_messaging.plugins.registrations import KAFKA
from core_messaging.settings import Settings


def kafka_settings(command: str, purpose: str) -> Settings:
    """Read the settings of the project in the current folder.

    *command* (``core kafka lag``) and *purpose* (``looking at the lag``) are words of the errors.

    Raises ConfigurationError; KafkaDisabled; NotKafka where ``kafka_broker`` names the broker of a plugin, because the
    answers would be those of another cluster.
    """
    settings = Project(Path.cwd()).settings()
    if not settings.kafka_enabled:
        raise KafkaDisabled(purpose)
    if settings.kafka_broker != KAFKA:
        raise NotKafka(command, settings.kafka_broker)
    return settings
