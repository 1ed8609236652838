"""Compares what was seen at both ends with what the tasks should lead to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, TypeVar

from demo.tasks import DELIVERED, Fate, Task

Thing = TypeVar("Thing", bound=Hashable)

RETRIES = 3  # max_retries of the example package's worker
_TRIES = {Fate.SENT_LATER: 2, Fate.GIVEN_UP: 1 + RETRIES, Fate.REJECTED: 1}
MENDED = DELIVERED | {
    Fate.GIVEN_UP
}  # what arrives once the mailboxes have room and the dead letters are replayed


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter queue: ``error`` is the type of the last error, ``attempts`` counts from 1."""

    key: str | None
    value: bytes
    error: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Books:
    """What was counted at both ends.

    ``received``: recipient -> mail ids in the order of arrival. ``tries``: recipient -> number of tries. ``seconds``: from
    the first mail to the last.
    """

    received: Mapping[str, Sequence[str]]
    tries: Mapping[str, int]
    dead_letters: Sequence[DeadLetter]
    seconds: float

    @property
    def arrived(self) -> int:
        return sum(len(ids) for ids in self.received.values())

    @property
    def retried(self) -> int:
        """Messages that had more than one attempt."""
        late = sum(1 for address, mails in self.received.items() if self.tries.get(address, 0) > len(mails))
        return late + sum(1 for letter in self.dead_letters if letter.attempts > 1)

    @property
    def undecodable(self) -> int:
        return sum(1 for letter in self.dead_letters if letter.error == "Undecodable")

    @property
    def rate(self) -> float:
        """Mails per second, retries included."""
        return self.arrived / self.seconds if self.seconds else 0.0


def differences(tasks: Sequence[Task], books: Books, delivered: AbstractSet[Fate] = DELIVERED) -> list[str]:
    """List the differences, one sentence each; empty if there are none. *delivered*: the fates whose mails arrive."""
    return [
        *_mails(tasks, books, delivered),
        *_order(tasks, books, delivered),
        *_tries(tasks, books, delivered),
        *_letters(tasks, books),
    ]


def open_letters(tasks: Sequence[Task], groups: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the differences in the output of `core kafka dlq list --json` after the replay."""
    found = Counter[str]()
    for group in groups:
        for state in ("open", "replayed", "dropped"):
            found[state] += group[state]
    fates = Counter(task.fate for task in tasks)
    expected = {
        "open": fates[Fate.REJECTED] + fates[Fate.UNDECODABLE],
        "replayed": fates[Fate.GIVEN_UP],
        "dropped": 0,
    }
    return [
        f"{found[state]} dead letters are {state}; {count} should be"
        for state, count in expected.items()
        if found[state] != count
    ]


def _mails(tasks: Sequence[Task], books: Books, delivered: AbstractSet[Fate]) -> Iterator[str]:
    expected = Counter(task.id for task in tasks if task.fate in delivered)
    arrived = Counter(mail for mails in books.received.values() for mail in mails)
    yield from _compare("mail", expected, arrived, "the mail server")


def _letters(tasks: Sequence[Task], books: Books) -> Iterator[str]:
    # A dead letter has the key and the value byte for byte.
    expected = Counter((task.key, task.line) for task in tasks if task.fate not in DELIVERED)
    found = Counter((letter.key, letter.value) for letter in books.dead_letters)
    yield from _compare("dead letter", expected, found, "the dead-letter queue")
    bad = sum(1 for task in tasks if task.fate is Fate.UNDECODABLE)
    if books.undecodable != bad:
        yield f"{books.undecodable} dead letters are marked undecodable; {bad} tasks are"


def _compare(what: str, expected: Counter[Thing], found: Counter[Thing], place: str) -> Iterator[str]:
    for thing, count in (expected - found).items():
        yield f"{what} {thing!r} is missing at {place} ({count} too few)"
    for thing, count in (found - expected).items():
        yield f"{what} {thing!r} does not belong at {place}, or came again ({count} too many)"


def _order(tasks: Sequence[Task], books: Books, delivered: AbstractSet[Fate]) -> Iterator[str]:
    """Mails to one recipient share a key, so they arrive in the order of the file."""
    wanted: dict[str, list[str]] = {}
    for task in tasks:
        if task.fate in delivered:
            wanted.setdefault(task.to, []).append(task.id)
    for address, mails in books.received.items():
        if sorted(mails) == sorted(wanted.get(address, [])) and list(mails) != wanted[address]:
            yield f"mails to {address} arrived out of order: {', '.join(mails)}"


def _tries(tasks: Sequence[Task], books: Books, delivered: AbstractSet[Fate]) -> Iterator[str]:
    for task in tasks:
        wanted = _TRIES.get(task.fate)
        if task.fate is Fate.GIVEN_UP and task.fate in delivered:
            wanted = 1 + RETRIES + 1  # the replay is sent at once
        tries = books.tries.get(task.to, 0)
        if wanted is not None and tries != wanted:
            yield f"{task.id} was tried {tries} times instead of {wanted} ({task.fate.value})"
