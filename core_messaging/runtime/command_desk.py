"""Obeys the commands that the control topic brings to this process, one after the other, and answers each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from core_messaging.errors import CommandRefused, CoreMessagingError
from core_messaging.rules.commands import Answer, Argument, Command, CommandInbox, Ignored, encode_answer

TO_ANSWER = 3.0  # seconds that the publishing of an answer may take

logger = logging.getLogger("core_messaging.worker")


@dataclass(frozen=True, slots=True)
class Reply:
    """``text``: the answer, for people. ``then`` is called when the answer is published, or cannot be."""

    text: str
    then: Callable[[], None] | None = None


# Obeys one kind of command. What it raises of our errors is the answer, and nothing is done then.
Obey = Callable[[Mapping[str, Argument]], Awaitable[Reply]]
Publish = Callable[[bytes, bytes], Awaitable[None]]  # key and value, to the state topic


class CommandDesk:
    """Takes commands in and obeys them. *handlers*: name of a command -> who obeys it."""

    def __init__(self, process: str, version: str, handlers: Mapping[str, Obey], publish: Publish) -> None:
        self._process, self._version = process, version
        self._handlers = handlers
        self._publish = publish
        self._inbox = CommandInbox(process)
        self._waiting: asyncio.Queue[Command] = asyncio.Queue()

    def take(self, key: bytes | None, value: bytes | None, now: float) -> bool:
        """Take in one record of the control topic. False: it cannot be read. *now*: seconds since the epoch."""
        found = self._inbox.take(key, value, now)
        if isinstance(found, Command):
            self._waiting.put_nowait(found)
        elif found is Ignored.EXPIRED:
            logger.warning(
                "a command to this process came after it had expired, and is ignored; do the clocks agree?",
                extra={"action": "command expired"},
            )
        return found is not Ignored.UNREADABLE

    async def obey_forever(self) -> None:
        """Obey until cancelled."""
        while True:
            await self._obey(await self._waiting.get())

    async def _obey(self, command: Command) -> None:
        by = f" by {command.by}" if command.by else ""
        logger.info("command %s%s", command.name, by, extra={"action": "command"})
        then: Callable[[], None] | None = None
        try:
            reply = await self._reply(command)
            then, answer = reply.then, self._answer(command, reply.text, done=True)
        except CoreMessagingError as error:
            answer = self._answer(command, str(error), done=False)
        except Exception as error:
            logger.exception("command %s failed", command.name, extra={"action": "command failed"})
            answer = self._answer(command, f"{type(error).__name__}; its log says more", done=False)
        try:
            await self._send(answer)
        finally:
            if then is not None:
                then()

    async def _reply(self, command: Command) -> Reply:
        handler = self._handlers.get(command.name)
        if handler is None:
            raise CommandRefused.unknown(command.name, self._version)
        return await handler(command.arguments)

    def _answer(self, command: Command, text: str, *, done: bool) -> Answer:
        return Answer(id=command.id, process=self._process, done=done, text=text)

    async def _send(self, answer: Answer) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TO_ANSWER):
                await self._publish(*encode_answer(answer))
