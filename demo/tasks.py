"""The tasks of tasks.jsonl, and the expected outcome of each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

FILE = Path(__file__).with_name("tasks.jsonl")
FIELDS = {"id", "to", "subject", "body"}


class Fate(Enum):
    """The expected outcome of a task. The mail server decides by the domain of the recipient."""

    SENT = "sent"
    SENT_LATER = "sent on the second try"  # the server says 451 once
    GIVEN_UP = "given up after all retries"  # the server says 452 every time
    REJECTED = "rejected at once"  # the server says 550: a retry would not help
    UNDECODABLE = "undecodable"  # not JSON, or a field is missing


FATE_OF_DOMAIN = {
    "later.example": Fate.SENT_LATER,
    "full.example": Fate.GIVEN_UP,
    "gone.example": Fate.REJECTED,
}
DELIVERED = {Fate.SENT, Fate.SENT_LATER}


@dataclass(frozen=True, slots=True)
class Task:
    """One line of the file: the bytes that are published, and what they should lead to."""

    line: bytes
    fate: Fate
    id: str = ""
    to: str = ""

    @property
    def key(self) -> str | None:
        """The key: the recipient, so mails to one person stay in order. None without a recipient."""
        return self.to or None


def task(line: bytes) -> Task:
    """Read *line* without the code of the worker: the demo compares the two."""
    try:
        fields = json.loads(line)
    except ValueError:
        return Task(line, Fate.UNDECODABLE)
    to = str(fields.get("to", ""))
    if not fields.keys() >= FIELDS:
        return Task(line, Fate.UNDECODABLE, to=to)
    return Task(line, FATE_OF_DOMAIN.get(to.partition("@")[2], Fate.SENT), fields["id"], to)


def read(lines: Iterable[bytes]) -> list[Task]:
    return [task(line.rstrip(b"\n")) for line in lines]


def load() -> list[Task]:
    with FILE.open("rb") as lines:
        return read(lines)
