"""Commits offsets for a group that has no members. The broker refuses it if there is a member."""

from __future__ import annotations

from collections.abc import Mapping

import aiokafka
from aiokafka import errors as kafka_errors
from aiokafka.structs import OffsetAndMetadata

from core_messaging.errors import BrokerError
from core_messaging.kafka.client_lifecycle import reader_of
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
    commits = {
        aiokafka.TopicPartition(*source): OffsetAndMetadata(commit.offset, commit.metadata)
        for source, commit in offsets.items()
    }
    try:
        async with reader_of(settings, group_id=group_id, auto_offset_reset="none") as client:
            client.assign(list(commits))
            await client.commit(commits)
    except _HAS_MEMBERS as error:
        raise BrokerError(
            f"group {group_id} has a member by now; nothing was changed. Stop its workers, and try again"
        ) from error
    except kafka_errors.KafkaError as error:
        raise as_broker_error(error, settings) from error
