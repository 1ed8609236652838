"""Commits offsets for a group that has no members. The broker refuses it if there is a member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors
from aiokafka.structs import OffsetAndMetadata

from core_messaging.errors import BrokerError
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.client_lifecycle import connect, stop
from core_messaging.kafka.errors import as_broker_error
from core_messaging.records import Committed, TopicPartition
from core_messaging.settings import Settings

_HAS_MEMBERS = (
    kafka_errors.UnknownMemberIdError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.CommitFailedError,
)


async def commit_for_empty_group(
    settings: Settings, group_id: str, offsets: Mapping[TopicPartition, Committed]
) -> None:
    """Commit *offsets* for *group_id*, all in one request, without joining the group.

    Raises BrokerError where the group has members (nothing is committed then), BrokerUnreachable, BrokerRefused.
    """
    client = await connect(settings, lambda: _client(settings, group_id))
    try:
        partitions = {aiokafka.TopicPartition(*source): commit for source, commit in offsets.items()}
        client.assign(list(partitions))
        await client.commit(
            {each: OffsetAndMetadata(commit.offset, commit.metadata) for each, commit in partitions.items()}
        )
    except _HAS_MEMBERS as error:
        raise BrokerError(
            f"group {group_id} has a member by now; nothing was changed. Stop its workers, and try again"
        ) from error
    except kafka_errors.KafkaError as error:
        raise as_broker_error(error, settings) from error
    finally:
        await stop(client)


def _client(settings: Settings, group_id: str) -> Any:
    return aiokafka.AIOKafkaConsumer(
        group_id=group_id,
        enable_auto_commit=False,
        auto_offset_reset="none",
        **client_options(settings, settings.kafka_client_id),
    )
