"""What travels with a commit besides the offset, so that nobody repeats finished work after a crash.

Kafka keeps one text of at most 4096 bytes (``offset.metadata.max.bytes``) with every committed offset. The
committed offset alone is always right; the note only saves repeats, so whatever does not fit is left out.
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
SURELY_FIT = 200  # runs; as many fit whatever they are, with all attempts (a property test holds it)
MAX_RUNS = 20_000  # that are written or read: few bytes can stand for very many
MAX_UNPACKED = 512 * 1024  # bytes
MAX_VANISHED = 8  # members that are remembered by name
BEYOND = 2**63  # no offset is as large

Run = tuple[int, int]  # first and last offset, both finished

# Who may commit for the group writes what is read here, so each field has its limits.
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Token = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_Whole = Annotated[int, msgspec.Meta(ge=1 - BEYOND, le=BEYOND - 1)]


# After a crash, what the last owner may have had in its hands: all that its last commit knew to be fetched, and about
# this many more where the commit is not ``exact``. Beyond, nothing is left that can have killed it. A guess, so arithmetic is allowed.
PROVEN_AFTER = 1_000  # offsets


class Ownership(msgspec.Struct, frozen=True, array_like=True):
    """Who has the partition and how it went. Offsets are absolute here and relative in a note.

    - ``held``: a member works on it; False once it was given back in order
    - ``crashes``: how often in a row a member vanished without giving it back
    - ``suspect``: the offset of the only message that is running, when one at a time is let run
    - ``delivered``: the offset after the last record its member had fetched
    - ``alone``: how many members in a row have vanished while the suspect was the only message that ran
    - ``owner``: the member that wrote this (a random number of its process); 0: written by an older version
    - ``vanished``: the owners that are counted in ``crashes``, the last ones
    - ``exact``: nothing from ``delivered`` on was started
    """

    held: bool = False
    crashes: _Count = 0
    suspect: _Whole | None = None
    delivered: _Whole = 0
    alone: _Count = 0
    owner: _Token = 0
    vanished: Annotated[tuple[_Token, ...], msgspec.Meta(max_length=MAX_VANISHED)] = ()
    exact: bool = False

    @property
    def proven_at(self) -> int:
        """The offset from which on nothing can have killed the owner before."""
        return self.delivered + (0 if self.exact else PROVEN_AFTER)

    def shifted(self, by: int) -> Ownership:
        """The same with offsets counted from elsewhere."""
        suspect = None if self.suspect is None else self.suspect + by
        return msgspec.structs.replace(self, suspect=suspect, delivered=self.delivered + by)


class CommitNote(msgspec.Struct, frozen=True, array_like=True):
    """The state of one partition beyond its committed offset. Offsets are relative to that one.

    - ``runs``: gap, length, gap, length, ...: runs of finished offsets after the committed one
    - ``attempts``: offset -> number of the attempt that comes next, where it is not the first
    - ``blocked``: digests of the keys that follow a dead letter (see ``rules.blocked``)
    - ``began``: topic (see ``rules.start.topic_id``) -> how many partitions it had when the group began at its end
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
        """A note beside the committed offset *committed*; all offsets given are absolute."""
        remembered = sorted(attempts.items())[:MAX_ATTEMPTS]
        return cls(
            _relative(committed, islice(finished, MAX_RUNS)),
            {offset - committed: number for offset, number in remembered},
            ownership.shifted(-committed),
            blocked,
            began or {},
        )

    def finished(self, committed: int) -> list[Run]:
        """Runs (first, last) of absolute offsets that are finished."""
        runs, position = [], committed
        for gap, length in zip(self.runs[::2], self.runs[1::2], strict=True):
            first = position + gap
            position = first + length
            runs.append((first, position - 1))
        return runs

    def attempt_of(self, committed: int) -> dict[int, int]:
        """Absolute offset -> the attempt that comes next."""
        return {committed + offset: attempt for offset, attempt in self.attempts.items()}

    def encode(self, limit: int = LIMIT) -> str:
        """As text of at most *limit* bytes. Where the runs do not fit, the last ones are left out: their
        messages would run twice after a crash, which is allowed; claiming more than is true never is."""
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
        """Bytes it takes when nothing is left out."""
        return len(_pack(self))

    def _first(self, runs: int) -> CommitNote:
        return msgspec.structs.replace(self, runs=self.runs[: 2 * runs])

    @classmethod
    def decode(cls, metadata: str) -> CommitNote:
        """The note in *metadata*; an empty one for text of somebody else's or of a version we do not know."""
        return _read(metadata) or CommitNote()

    def makes_sense(self) -> bool:
        """Whether the runs can have been written by ``of``. The first one may begin at the committed offset itself:
        an earlier owner finished it, and this one has not been delivered it yet."""
        return (
            len(self.runs) % 2 == 0
            and min(self.runs[:1], default=0) >= 0
            and all(n > 0 for n in self.runs[1:])
            and min(self.attempts.values(), default=1) >= 1
        )

    def is_possible(self, committed: int) -> bool:
        """Whether all offsets, counted from *committed*, are such as Kafka has."""
        owned = self.ownership.shifted(committed)
        named = [*self.attempt_of(committed), owned.delivered, committed + sum(self.runs)]
        if owned.suspect is not None:
            named.append(owned.suspect)
        possible = all(0 <= offset < BEYOND for offset in named)
        return possible and (owned.suspect is None or owned.suspect >= committed)


class Reading(NamedTuple):
    """What a commit says beyond its offset. ``refused``: why its metadata, which claims to be ours, is not believed."""

    note: CommitNote
    refused: str = ""


def read(committed: Committed) -> Reading:
    """The note of a commit, as far as it can be true."""
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
    """Raises ValueError where it is more than is ever written: few bytes can stand for very many."""
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(base64.b85decode(metadata[len(VERSION) + 1 :]), MAX_UNPACKED)
    if not unpacking.eof:
        raise ValueError(metadata)
    return unpacked


def is_ours(metadata: str) -> bool:
    """Whether *metadata* was written by ``CommitNote.encode``, in the version that is known here."""
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
    """Ascending *runs* with neighbours and overlaps joined."""
    joined: list[Run] = []
    for first, last in runs:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
