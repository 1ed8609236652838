"""What a process says of its workers before they have partitions, and after they have stopped."""

from __future__ import annotations

import signal
import weakref
from collections.abc import Sequence

from core_messaging.config import WorkerConfig
from core_messaging.discovery.shared_groups import shared_groups
from core_messaging.engine.worker_log import WorkerLog
from core_messaging.errors import CoreMessagingError
from core_messaging.runtime.process_log import process_log
from core_messaging.snapshot import WorkerSnapshot
from core_messaging.text.wording import counted

# Weak: an error that is handled is not asked for again.
_logged: weakref.WeakSet[CoreMessagingError] = weakref.WeakSet()


def say_waiting(configs: Sequence[WorkerConfig], address: str) -> None:
    """Name a broker that has not answered yet."""
    names = ", ".join(config.name for config in configs)
    process_log.info(
        "waiting for broker", "%s: broker %s has not answered yet; waiting for it", names, address
    )


def say_joining(configs: Sequence[WorkerConfig], address: str) -> None:
    """Name the broker and the groups: until partitions are assigned there is nothing else to say."""
    for config in configs:
        text = "%s: broker %s, joining group %s"
        WorkerLog(config.name).info("joining", text, address, config.group_id)


def say_shared_groups(configs: Sequence[WorkerConfig]) -> None:
    """Warn of workers that take each other's messages."""
    for pair in shared_groups(configs):
        WorkerLog(pair.first.name).warning("shared group", "%s: %s", pair.seen_from(pair.first))


def say_ends(worker: str, error: BaseException, others: Sequence[str]) -> None:
    """*error* ends *worker*, and with it the process and the *others* in it."""
    if isinstance(error, CoreMessagingError):  # errors of Python itself allow no weak reference
        _logged.add(error)
    with_it = f", and with it {', '.join(others)}" if others else ""
    WorkerLog(worker).error("stopping", "%s ends: %s. The whole process stops%s", error, with_it)


def say_stopping(why: str) -> None:
    """Log why the process stops in order, and what it waits for."""
    process_log.info("draining", "%s", why)


def say_took_too_long(seconds: float, why: str) -> None:
    """Log that the process ends now, because stopping it in order took longer than *seconds*."""
    text = "leaving: stopping took longer than %g s (%s); messages that are not committed are delivered again"
    process_log.error("killed", text, seconds, why)


def say_leaving(number: signal.Signals) -> None:
    """Log that the process ends now, because it has got a second signal."""
    text = "%s again: leaving at once; messages that run are not committed and will be delivered again"
    process_log.warning("killed", text, number.name)


def cause_is_logged(error: BaseException) -> bool:
    """Whether the log says already that *error* ends a worker."""
    return error in _logged


# Each message that is settled counts in one of these.
_FINISHED = ("succeeded", "exhausted", "undecodable", "followed", "cleared")


def say_stopped(worker: WorkerSnapshot, given_back: int) -> None:
    """Log the last line of a worker that stopped in order: how much it has finished, and how much its group gets again."""
    finished = counted(sum(worker.counters[name] for name in _FINISHED), "message", "finished")
    letters = worker.counters["dead_lettered"]
    WorkerLog(worker.name).info(
        "stopped",
        "%s: stopped; %s since the start%s; %s",
        finished,
        f", {letters} of them dead-lettered" if letters else "",
        f"{given_back} given back, to be delivered again" if given_back else "none given back",
    )
