"""What a process says of its workers before they have partitions."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from core_messaging.config import WorkerConfig
from core_messaging.discovery.shared_groups import shared_groups

logger = logging.getLogger("core_messaging.worker")


def say_joining(configs: Sequence[WorkerConfig], address: str) -> None:
    """Name the broker and the groups: until partitions are assigned there is nothing else to say."""
    for config in configs:
        logger.info(
            "%s: broker %s, joining group %s",
            config.name,
            address,
            config.group_id,
            extra={"action": "joining", "worker": config.name},
        )


def say_shared_groups(configs: Sequence[WorkerConfig]) -> None:
    """Warn of workers that take each other's messages."""
    for pair in shared_groups(configs):
        logger.warning(
            "%s: %s",
            pair.first.name,
            pair.seen_from(pair.first),
            extra={"action": "shared group", "worker": pair.first.name},
        )
