"""The log lines of one worker: each says which worker, which action, and where in Kafka."""

from __future__ import annotations

import logging
from typing import Any

from core_messaging.errors import text_of
from core_messaging.logs.tracebacks import ExcInfo, exc_info_of
from core_messaging.records import TopicPartition
from core_messaging.rules.job import Job

logger = logging.getLogger("core_messaging.worker")

Place = TopicPartition | Job | None  # what a line concerns: a partition, a message, or the worker as a whole


class WorkerLog:
    """Writes the log lines of one worker.

    Each record has ``worker`` and ``action`` as attributes. It also has ``topic`` and ``partition`` where it concerns a
    partition, and ``offset`` where it concerns a message.

    The text of a line begins with ``%s``, which stands for the name of the worker.
    """

    __slots__ = ("worker",)

    def __init__(self, worker: str) -> None:
        self.worker = worker

    @property
    def shows_debug(self) -> bool:
        """Whether lines of the level DEBUG are logged."""
        return logger.isEnabledFor(logging.DEBUG)

    def debug(
        self, action: str, text: str, *args: object, at: Place = None, trace: ExcInfo | None = None
    ) -> None:
        """Log a line for developers."""
        self.log(logging.DEBUG, action, text, *args, at=at, trace=trace)

    def info(
        self, action: str, text: str, *args: object, at: Place = None, trace: ExcInfo | None = None
    ) -> None:
        """Log what happens in normal operation."""
        self.log(logging.INFO, action, text, *args, at=at, trace=trace)

    def warning(
        self, action: str, text: str, *args: object, at: Place = None, trace: ExcInfo | None = None
    ) -> None:
        """Log what an operator should look at."""
        self.log(logging.WARNING, action, text, *args, at=at, trace=trace)

    def error(
        self, action: str, text: str, *args: object, at: Place = None, trace: ExcInfo | None = None
    ) -> None:
        """Log what an operator has to mend."""
        self.log(logging.ERROR, action, text, *args, at=at, trace=trace)

    def log(
        self,
        level: int,
        action: str,
        text: str,
        *args: object,
        at: Place = None,
        trace: ExcInfo | None = None,
        **more: object,
    ) -> None:
        """Log *text* with *args* at *level*.

        *at* is the partition or the message that the line concerns. *trace* is the traceback to show below the line.
        *more* are further attributes of the record.
        """
        extra = {"worker": self.worker, "action": action, **coordinates(at), **more}
        logger.log(level, text, self.worker, *args, exc_info=trace, extra=extra)

    def raised(self, action: str, what: str, error: BaseException) -> None:
        """Log that *what*, code of the worker that handles no message, raised *error*."""
        facts = (what, type(error).__name__, text_of(error))
        self.log(logging.ERROR, action, "%s: %s raised %s: %s", *facts, trace=exc_info_of(error))


def coordinates(at: Place) -> dict[str, Any]:
    """Topic, partition and offset of *at*, as far as it has them."""
    if at is None:
        return {}
    if isinstance(at, Job):
        return {**at.assignment.source._asdict(), "offset": at.record.offset}
    return at._asdict()
