"""The metadata of a commit: what the group knows of a partition besides the committed offset.

Kafka keeps one text of at most 4096 bytes (``offset.metadata.max.bytes``) with every committed offset. The committed offset
alone is always right. The metadata only saves repeats after a crash, so what does not fit is left out.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Annotated, NamedTuple, Self

import msgspec

from core_messaging.records import Committed
from core_messaging.rules.blocked_keys import MOST, SIZE

LIMIT = 4096  # bytes, the broker's default
VERSION = "1"
MAX_ATTEMPTS = 200  # messages whose attempts are remembered
SURELY_FIT = 200  # runs; so many fit whatever they are, with all attempts (a property test shows it)
MAX_RUNS = 20_000  # runs that are written or read: few bytes can stand for very many
MAX_UNPACKED = 512 * 1024  # bytes
MAX_CRASHED = 8  # members that are remembered by name
BEYOND = 2**63  # no offset is as large

Run = tuple[int, int]  # first and last offset, both finished

# Anybody who may commit for the group can write what is read here, so each field has its limits.
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Token = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_Whole = Annotated[int, msgspec.Meta(ge=1 - BEYOND, le=BEYOND - 1)]


# After a crash, all messages are suspected that the last owner may have had in hand: those that its last commit knew to be
# fetched, and about this many more where the commit is not exact. The number is a guess, so offsets may be computed here.
PROVEN_AFTER = 1_000  # offsets


class Ownership(msgspec.Struct, frozen=True, array_like=True):
    """Who has the partition, and how its last owners ended. Offsets are absolute here and relative in a note.

    - ``is_owned``: a member works on it; False once the partition was given back in order
    - ``crashes``: how many members in a row crashed without giving it back
    - ``isolated_offset``: the offset of the only message that runs, while messages run one at a time
    - ``delivered``: the offset after the last record that the member had fetched
    - ``solo_crashes``: how many members in a row crashed while that message was all that ran
    - ``owner``: the member that wrote this (a random number of its process); 0: an older version wrote it
    - ``crashed_owners``: the last ones of the owners that ``crashes`` counts
    - ``is_exact``: no message from ``delivered`` on was started
    """

    is_owned: bool = False
    crashes: _Count = 0
    isolated_offset: _Whole | None = None
    delivered: _Whole = 0
    solo_crashes: _Count = 0
    owner: _Token = 0
    crashed_owners: Annotated[tuple[_Token, ...], msgspec.Meta(max_length=MAX_CRASHED)] = ()
    is_exact: bool = False

    @property
    def proven_from(self) -> int:
        """The offset from which on no message can have ended the process of the owner before."""
        return self.delivered + (0 if self.is_exact else PROVEN_AFTER)

    def shifted(self, by: int) -> Ownership:
        """Return the same with all offsets larger by *by*."""
        isolated = None if self.isolated_offset is None else self.isolated_offset + by
        return msgspec.structs.replace(self, isolated_offset=isolated, delivered=self.delivered + by)


class CommitNote(msgspec.Struct, frozen=True, array_like=True):
    """The state of one partition beyond its committed offset. Offsets are relative to the committed offset.

    - ``runs``: gap, length, gap, length, ...: runs of finished offsets after the committed one
    - ``attempts``: offset -> number of the next attempt, where it is not the first one
    - ``blocked``: digests of the keys that follow a dead letter (see ``rules.blocked_keys``)
    - ``began``: topic (see ``rules.start_position.topic_id``) -> how many partitions it had when the group began at its end
    """

    runs: Annotated[tuple[_Whole, ...], msgspec.Meta(max_length=2 * MAX_RUNS)] = ()
    attempts: Annotated[Mapping[_Whole, _Count], msgspec.Meta(max_length=MAX_ATTEMPTS)] = {}
    ownership: Ownership = Ownership()
    blocked: Annotated[bytes, msgspec.Meta(max_length=MOST * SIZE)] = b""
    began: Annotated[Mapping[_Token, _Count], msgspec.Meta(max_length=64)] = {}

    @classmethod
    def of(
        cls,
        committed: int,
        finished: Iterable[Run],
        attempts: Mapping[int, int],
        ownership: Ownership,
        blocked: bytes = b"",
        began: Mapping[int, int] | None = None,
    ) -> Self:
        """Make the note for the committed offset *committed*. All offsets given are absolute."""
        remembered = sorted(attempts.items())[:MAX_ATTEMPTS]
        return cls(
            _relative(committed, islice(finished, MAX_RUNS)),
            {offset - committed: number for offset, number in remembered},
            ownership.shifted(-committed),
            blocked,
            began or {},
        )

    def finished(self, committed: int) -> list[Run]:
        """Return the runs (first, last) of finished messages, as absolute offsets."""
        runs, position = [], committed
        for gap, length in zip(self.runs[::2], self.runs[1::2], strict=True):
            first = position + gap
            position = first + length
            runs.append((first, position - 1))
        return runs

    def attempt_of(self, committed: int) -> dict[int, int]:
        """Return absolute offset -> number of the next attempt."""
        return {committed + offset: attempt for offset, attempt in self.attempts.items()}

    def encode(self, limit: int = LIMIT) -> str:
        """Return the note as text of at most *limit* bytes.

        Where the runs do not fit, the last ones are left out. Their messages run twice after a crash, which is allowed. To
        claim that more is finished than is true would lose messages.
        """
        whole = _pack(self)
        if len(whole) <= limit:
            return whole
        low, high = 0, len(self.runs) // 2
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(_pack(self._first(middle))) <= limit else (low, middle - 1)
        return _pack(self._first(low))

    @property
    def size(self) -> int:
        """Bytes of the text when no run is left out."""
        return len(_pack(self))

    def _first(self, runs: int) -> CommitNote:
        return msgspec.structs.replace(self, runs=self.runs[: 2 * runs])

    @classmethod
    def decode(cls, metadata: str) -> CommitNote:
        """Return the note in *metadata*; an empty one where another program wrote the text, or an unknown version."""
        return _read(metadata) or CommitNote()

    def makes_sense(self) -> bool:
        """Whether ``of`` can have made this note.

        The first run may begin at the committed offset itself: an earlier owner has finished that message, and the one that
        wrote this had not received it yet.
        """
        return (
            len(self.runs) % 2 == 0
            and min(self.runs[:1], default=0) >= 0
            and all(n > 0 for n in self.runs[1:])
            and min(self.attempts.values(), default=1) >= 1
        )

    def is_possible(self, committed: int) -> bool:
        """Whether all offsets, counted from *committed*, are offsets that Kafka can have."""
        owned = self.ownership.shifted(committed)
        named = [*self.attempt_of(committed), owned.delivered, committed + sum(self.runs)]
        if owned.isolated_offset is not None:
            named.append(owned.isolated_offset)
        possible = all(0 <= offset < BEYOND for offset in named)
        return possible and (owned.isolated_offset is None or owned.isolated_offset >= committed)


class NotePacker:
    """Packs the notes of one partition. The last one is kept: an idle partition asks for the same one every second.

    ``began``: what the group began with; every commit passes it on.
    """

    def __init__(self, began: Mapping[int, int]) -> None:
        self.began = began
        self._last: tuple[CommitNote, str] | None = None

    def packed(self, note: CommitNote) -> str:
        """Return *note* as text."""
        if self._last is None or note != self._last[0]:
            self._last = note, note.encode()
        return self._last[1]


class Reading(NamedTuple):
    """What a commit says beyond its offset.

    ``refused``: why its metadata is not believed, although it looks like ours; empty where it is believed, or not ours.
    """

    note: CommitNote
    refused: str = ""


def read(committed: Committed) -> Reading:
    """Read the note of *committed*. A note that cannot be true is refused."""
    note = _read(committed.metadata)
    if note is None:
        return Reading(CommitNote(), "it cannot be read" if is_ours(committed.metadata) else "")
    if not note.is_possible(committed.offset):
        return Reading(CommitNote(), "it names offsets that there cannot be")
    return Reading(note)


def _read(metadata: str) -> CommitNote | None:
    if not is_ours(metadata) or len(metadata) > LIMIT:
        return None
    try:
        note = _DECODER.decode(_unpacked(metadata))
    except (ValueError, zlib.error, binascii.Error, msgspec.DecodeError, RecursionError):
        return None
    return note if note.makes_sense() else None


def _unpacked(metadata: str) -> bytes:
    """Raises ValueError where it is more than anybody writes: few bytes can stand for very many."""
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(base64.b85decode(metadata[len(VERSION) + 1 :]), MAX_UNPACKED)
    if not unpacking.eof:
        raise ValueError(metadata)
    return unpacked


def is_ours(metadata: str) -> bool:
    """Whether ``CommitNote.encode`` wrote *metadata*, in the version that is known here."""
    return metadata.startswith(VERSION + ":")


_DECODER = msgspec.msgpack.Decoder(CommitNote)


def _pack(note: CommitNote) -> str:
    packed = zlib.compress(msgspec.msgpack.encode(note), level=1)
    return f"{VERSION}:{base64.b85encode(packed).decode()}"


def _relative(committed: int, finished: Iterable[Run]) -> tuple[int, ...]:
    numbers: list[int] = []
    position = committed
    for first, last in finished:
        numbers += (first - position, last - first + 1)
        position = last + 1
    return tuple(numbers)


def merged(runs: Iterable[Run]) -> list[Run]:
    """Return ascending *runs*, with neighbours and overlaps joined."""
    joined: list[Run] = []
    for first, last in runs:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
