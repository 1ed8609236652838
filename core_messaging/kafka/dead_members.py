"""Tells a group which of its members have died on this machine, so that it does not wait for the end of their sessions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from aiokafka import errors as kafka_errors

from core_messaging.errors import CoreMessagingError
from core_messaging.kafka.client_lifecycle import admin_of
from core_messaging.kafka.cluster_identity import cluster_of
from core_messaging.kafka.leave_group import report_dead_members
from core_messaging.kafka.member_places import PLACES, Group, Place
from core_messaging.settings import Settings

_TIMEOUT = 10.0  # seconds to connect, and to report the dead members of all groups

logger = logging.getLogger("core_messaging.kafka")


async def report_predecessors(client: Any, group: Group, own: Place | None = None) -> None:
    """Report the members of *group* that had a place on this machine and are dead; also the one that had *own* before.

    *client*: a connected AIOKafkaClient.
    """
    others = PLACES.abandoned(group)
    try:
        places = others if own is None else [own, *others]
        dead = [member_id for place in places if (member_id := place.dead_member())]
        if not dead or await report_dead_members(client, group.name, dead):
            for place in places:
                place.clear()
    finally:
        for place in others:
            place.release()


async def report_dead_processes(settings: Settings, groups: Iterable[str]) -> None:
    """Report the dead members of *groups*, for a supervisor whose process has died. Raises nothing."""
    patient = settings.model_copy(update={"kafka_start_timeout": _TIMEOUT})
    try:
        async with asyncio.timeout(_TIMEOUT), admin_of(patient) as admin:
            cluster = await cluster_of(admin)
            for group in () if cluster.is_embedded else groups:
                await report_predecessors(admin._client, Group(cluster.name, group))  # noqa: SLF001 - it finds the coordinator
    except (CoreMessagingError, kafka_errors.KafkaError, TimeoutError) as error:
        logger.debug("the groups were not told that a process has died: %r", error)
