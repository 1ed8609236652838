"""Commands to one process: records of the control topic, and its answers in the state topic. Pure: the time is an argument.

A command names the start of a process (its UUID), so a process that is started again obeys nothing that was meant for its
predecessor. A command expires. Whoever sends it removes its record when it is answered. What cannot be read is ignored:
anybody who may write the topic may write anything.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Annotated

import msgspec

LARGEST = 16 * 1024  # bytes of a command that is looked at
LONGEST_TEXT = 200_000  # characters of an answer
LARGEST_ANSWER = 4 * LONGEST_TEXT + 2_000  # bytes of an answer that is looked at
REMEMBERED = 1_000  # commands that are known to be obeyed
RETRY_NOW = "retry-now"  # arguments: ``group``, and ``key`` as hex digits or None
COMMAND, ANSWER = b"command:", b"answer:"  # how the keys begin

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=249)]
Argument = str | int | float | bool | None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """``id`` names it for its answer. ``process``: the start that obeys. ``expires``: seconds since the epoch.

    ``by``: who asks for it, in words.
    """

    id: _Word
    process: _Word
    name: _Word
    expires: float
    arguments: dict[str, Argument] = {}
    by: Annotated[str, msgspec.Meta(max_length=249)] = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What process ``process`` says to command ``id``. ``done``: whether it has obeyed. ``text``: for people."""

    id: _Word
    process: _Word
    done: bool
    text: str


class Ignored(Enum):
    """Why a record is no command that is obeyed now."""

    NOT_MINE = "it is for another process, it was obeyed before, or it was removed"
    EXPIRED = "it came after it had expired"
    UNREADABLE = "it cannot be read"


def encode_command(command: Command) -> tuple[bytes, bytes]:
    """Return key and value of the record of the control topic. The same key without a value removes it."""
    return COMMAND + command.id.encode(), msgspec.json.encode(command)


def encode_answer(answer: Answer) -> tuple[bytes, bytes]:
    """Return key and value of the record of the state topic. A text that is too long is cut."""
    if len(answer.text) > LONGEST_TEXT:
        cut = answer.text[:LONGEST_TEXT] + f"\n... {len(answer.text) - LONGEST_TEXT} characters more"
        answer = msgspec.structs.replace(answer, text=cut)
    return ANSWER + answer.id.encode(), msgspec.json.encode(answer)


def answer_in(key: bytes | None, value: bytes | None, command: Command) -> Answer | None:
    """Return the answer to *command*, if the record of the state topic is one."""
    if key != ANSWER + command.id.encode() or value is None or len(value) > LARGEST_ANSWER:
        return None
    try:
        found = msgspec.json.decode(value, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if (found.id, found.process) == (command.id, command.process) else None


class CommandInbox:
    """The commands to one start of a process. Each is taken once."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._taken: OrderedDict[str, None] = OrderedDict()  # ids, the oldest first

    def take(self, key: bytes | None, value: bytes | None, now: float) -> Command | Ignored:
        """Return the command in a record of the control topic whose key begins with ``COMMAND``, or why there is none.

        *now*: seconds since the epoch.
        """
        if value is None:
            return Ignored.NOT_MINE
        command = _decoded(value)
        if command is None or key != COMMAND + command.id.encode():
            return Ignored.UNREADABLE
        if command.process != self._process or command.id in self._taken:
            return Ignored.NOT_MINE
        self._remember(command.id)
        return Ignored.EXPIRED if now >= command.expires else command

    def _remember(self, name: str) -> None:
        self._taken[name] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)


def _decoded(value: bytes) -> Command | None:
    if len(value) > LARGEST:
        return None
    try:
        return msgspec.json.decode(value, type=Command)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
