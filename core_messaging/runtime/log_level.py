"""Changes how much this process logs for a limited time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

NAMES: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
# Everybody's level, and our own where it has one.
LOGGERS = (None, "core_messaging")

logger = logging.getLogger("core_messaging.worker")


class LogLevel:
    """The log level of this process. A level that was set for a time goes back by itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._before: dict[str | None, int] = {}  # the levels to go back to, while others are set
        self._end: asyncio.TimerHandle | None = None

    def set_for(self, level: str, seconds: float) -> None:
        """Log at *level* for *seconds*. A level that was set like this before does not count any more."""
        self._restore()
        for name in LOGGERS:
            each = logging.getLogger(name)
            if name is None or each.level != logging.NOTSET:
                self._before[name] = each.level
                each.setLevel(NAMES[level])
        self._end = self._loop.call_later(seconds, self._go_back)

    def close(self) -> None:
        """Go back now."""
        self._restore()

    def _go_back(self) -> None:
        self._restore()
        logger.info("the log level is what it was before", extra={"action": "log level"})

    def _restore(self) -> None:
        if self._end is not None:
            self._end.cancel()
        before, self._before = self._before, {}
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
