"""What a process says of its workers before they have partitions, and after they have stopped."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence

from core_messaging.config import WorkerConfig
from core_messaging.discovery.shared_groups import shared_groups
from core_messaging.errors import CoreMessagingError
from core_messaging.snapshot import WorkerSnapshot
from core_messaging.text.wording import counted

logger = logging.getLogger("core_messaging.worker")

# Weak: an error that is handled is not asked for again.
_logged: weakref.WeakSet[CoreMessagingError] = weakref.WeakSet()


def say_waiting(configs: Sequence[WorkerConfig], address: str) -> None:
    """Name a broker that has not answered yet."""
    names = ", ".join(config.name for config in configs)
    logger.info(
        "%s: broker %s has not answered yet; waiting for it",
        names,
        address,
        extra={"action": "waiting for broker"},
    )


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


def say_ends(worker: str, error: BaseException, others: Sequence[str]) -> None:
    """*error* ends *worker*, and with it the process and the *others* in it."""
    if isinstance(error, CoreMessagingError):  # errors of Python itself allow no weak reference
        _logged.add(error)
    logger.error(
        "%s ends: %s. The whole process stops%s",
        worker,
        error,
        f", and with it {', '.join(others)}" if others else "",
        extra={"action": "stopping", "worker": worker},
    )


def cause_is_logged(error: BaseException) -> bool:
    """Whether the log says already that *error* ends a worker."""
    return error in _logged


# Each message that is settled counts in one of these.
_FINISHED = ("succeeded", "exhausted", "undecodable", "followed", "cleared")


def say_stopped(worker: WorkerSnapshot, given_back: int) -> None:
    """Log the last line of a worker that stopped in order: how much it has finished, and how much its group gets again."""
    finished = counted(sum(worker.counters[name] for name in _FINISHED), "message", "finished")
    letters = worker.counters["dead_lettered"]
    logger.info(
        "%s: stopped; %s since the start%s; %s",
        worker.name,
        finished,
        f", {letters} of them dead-lettered" if letters else "",
        f"{given_back} given back, to be delivered again" if given_back else "none given back",
        extra={"action": "stopped", "worker": worker.name},
    )
