"""The settings of the project, for commands that ask Kafka itself and for those that publish."""

from __future__ import annotations

import sys
from pathlib import Path

from core_messaging.discovery.project import Project
from core_messaging.errors import KafkaDisabled, NotKafka
from core_messaging.plugins.registrations import KAFKA
from core_messaging.settings import Settings

REFUSED = 3.0  # seconds


def for_a_person(settings: Settings) -> Settings:
    """Return *settings* for a command that a person may be waiting for.

    At a terminal, an address where no broker runs ends the command after a few seconds. A script goes on waiting for
    ``kafka_start_timeout``: there, the broker may just be starting.
    """
    if settings.kafka_refused_timeout is not None or not sys.stderr.isatty():
        return settings
    return settings.model_copy(update={"kafka_refused_timeout": REFUSED})


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
    return for_a_person(settings)
