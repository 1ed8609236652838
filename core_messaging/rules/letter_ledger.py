"""Which dead letters are dealt with already: markers, one a letter. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

import msgspec

from core_messaging.records import Outgoing, Record
from core_messaging.rules.letters import Letter

State = Literal["open", "replayed", "dropped"]
Settled = Literal["replayed", "dropped"]

SUFFIX = ".handled"  # of the topic of markers, beside its dead-letter queue
PARTITION = 0  # one partition, so that markers are in one order
_DIGEST = 12  # bytes; of a million letters and a million markers, two are mixed up once in 10 ** 16 times


class Marker(msgspec.Struct, frozen=True):
    """What a marker says. ``at``: seconds since the epoch. ``to``: where the letter was replayed to."""

    state: Settled
    at: float = 0.0
    to: str = ""


def markers_topic(queue: str) -> str:
    """The compacted topic that holds the markers of *queue*."""
    return queue + SUFFIX


def marker(letter: Letter, queue: str, state: Settled, at: float, to: str = "") -> Outgoing:
    """The record that says that *letter* of *queue* is dealt with."""
    value = msgspec.json.encode(Marker(state, round(at, 3), to))
    return Outgoing(markers_topic(queue), value, letter.identity(), partition=PARTITION)


class Ledger:
    """The state of each letter, by digests of identities: a million of them take some 100 MB."""

    def __init__(self) -> None:
        self._states: dict[bytes, State] = {}

    def __len__(self) -> int:
        return len(self._states)

    def read(self, records: Sequence[Record]) -> None:
        """Take in *records* of the topic of markers, in their order. What is no marker is passed over."""
        for record in records:
            if record.key is None:
                continue
            if record.value is None:
                self._states.pop(_digest(record.key), None)
            elif (found := _decoded(record.value)) is not None:
                self._states[_digest(record.key)] = found.state

    def note(self, letter: Letter, state: Settled) -> None:
        """Note that *letter* was replayed or dropped."""
        self._states[_digest(letter.identity())] = state

    @property
    def size(self) -> int:
        """How many letters were replayed or dropped."""
        return len(self._states)

    def state_of(self, letter: Letter) -> State:
        """Return what became of *letter*; "open" if nothing was done with it."""
        if not self._states:
            return "open"
        return self._states.get(_digest(letter.identity()), "open")


def _decoded(value: bytes) -> Marker | None:
    try:
        return msgspec.json.decode(value, type=Marker)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _digest(identity: bytes) -> bytes:
    return blake2b(identity, digest_size=_DIGEST).digest()
