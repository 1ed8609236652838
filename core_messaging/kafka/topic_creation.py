"""Creates topics with an admin client, and reads what the cluster answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import NewTopic

_NO_ERROR = (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError)


async def create_topics(admin: Any, topics: Sequence[NewTopic]) -> dict[str, str]:
    """Create *topics* with *admin*, a started admin client of aiokafka; a topic that exists already is no error.

    Returns the topics that the cluster refuses -> why. Raises KafkaError; TimeoutError where the controller does not answer.
    """
    answer = await admin.create_topics(list(topics))
    refused = {}
    for topic, code, *texts in answer.topic_errors:
        kind = kafka_errors.for_code(code)
        if kind not in _NO_ERROR:
            refused[topic] = next((text for text in texts if text), kind.__name__)
    return refused
