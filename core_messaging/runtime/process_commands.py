"""What this process does when the control topic tells it to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from core_messaging.errors import CommandRefused
from core_messaging.rules.commands import RETRY_NOW, Argument
from core_messaging.runtime.command_desk import Obey, Reply
from core_messaging.runtime.log_level import NAMES, LogLevel
from core_messaging.text.wording import counted, duration

LONGEST = 24 * 3600.0  # seconds that another log level may last

logger = logging.getLogger("core_messaging.worker")


class Drain(Protocol):
    """Begins to stop the process in order."""

    def __call__(self, *, for_good: bool) -> None:
        """*for_good*: a supervisor does not start it again."""
        ...


RetryNow = Callable[[str, bytes | None], int]  # a group and a key -> how many messages are tried now


def _key(argument: Argument) -> bytes | None:
    if argument is None:
        return None
    try:
        return bytes.fromhex(str(argument))
    except ValueError:
        raise CommandRefused("the command has a key that cannot be read; nothing was changed") from None


class ProcessCommands:
    """``handlers``: name of a command -> who obeys it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, drain: Drain, dump: Callable[[], str], retry_now: RetryNow
    ) -> None:
        self._drain, self._dump, self._retry_now = drain, dump, retry_now
        self._level = LogLevel(loop)
        self.handlers: Mapping[str, Obey] = {
            "drain": self._obey_drain,
            "dump": self._obey_dump,
            "log-level": self._obey_log_level,
            RETRY_NOW: self._obey_retry_now,
        }

    async def _obey_drain(self, arguments: Mapping[str, Argument]) -> Reply:
        for_good = arguments.get("for_good") is True

        def then() -> None:
            self._drain(for_good=for_good)

        return Reply("draining: it finishes what runs, commits and ends", then)

    async def _obey_dump(self, _arguments: Mapping[str, Argument]) -> Reply:
        return Reply(self._dump())

    async def _obey_log_level(self, arguments: Mapping[str, Argument]) -> Reply:
        level, seconds = arguments.get("level"), arguments.get("seconds")
        if not isinstance(level, str) or level not in NAMES:
            raise CommandRefused(
                f"{level!r} is no log level; nothing was changed. Write one of {', '.join(NAMES)}"
            )
        if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST:
            raise CommandRefused(
                f"a log level lasts up to {duration(LONGEST)}; nothing was changed. Write --for 5m"
            )
        self._level.set_for(level, seconds)
        text = f"logs at {level} for {duration(seconds)}"
        logger.info("%s", text, extra={"action": "log level"})
        return Reply(text)

    async def _obey_retry_now(self, arguments: Mapping[str, Argument]) -> Reply:
        group, key = arguments.get("group"), arguments.get("key")
        if not isinstance(group, str):
            raise CommandRefused("the command names no group; nothing was changed")
        count = self._retry_now(group, _key(key))
        text = (
            f"{counted(count, 'message')} that waited for a retry {'is' if count == 1 else 'are'} tried now"
        )
        logger.info("%s (group %s)", text, group, extra={"action": "retry now"})
        return Reply(text)

    def close(self) -> None:
        """Undo what lasts for a time."""
        self._level.close()
