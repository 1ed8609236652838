"""What travels with a commit besides the offset, so that nobody repeats finished work after a crash.

Kafka keeps one text of at most 4096 bytes (``offset.metadata.max.bytes``) with every committed offset. The
committed offset alone is always right; the note only saves repeats, so whatever does not fit is left out.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from typing import Self

import msgspec

LIMIT = 4096  # bytes, the broker's default
VERSION = "1"
MAX_ATTEMPTS = 200  # messages whose attempts are remembered
SURELY_FIT = 200  # runs; as many fit whatever they are, with all attempts (a property test holds it)

Run = tuple[int, int]  # first and last offset, both finished


class Ownership(msgspec.Struct, frozen=True, array_like=True):
    """Who has the partition and how it went. Offsets are absolute here and relative in a note.

    - ``held``: a member works on it; False once it was given back in order
    - ``crashes``: how often in a row a member vanished without giving it back
    - ``suspect``: the offset of the only message that is running, when one at a time is let run
    - ``delivered``: the offset after the last record its member had fetched
    - ``alone``: how many members in a row have vanished while the suspect was the only message that ran
    """

    held: bool = False
    crashes: int = 0
    suspect: int | None = None
    delivered: int = 0
    alone: int = 0

    def shifted(self, by: int) -> Ownership:
        """The same with offsets counted from elsewhere."""
        suspect = None if self.suspect is None else self.suspect + by
        return msgspec.structs.replace(self, suspect=suspect, delivered=self.delivered + by)


class CommitNote(msgspec.Struct, frozen=True, array_like=True):
    """The state of one partition beyond its committed offset. Offsets are relative to that one.

    - ``runs``: gap, length, gap, length, ...: runs of finished offsets after the committed one
    - ``attempts``: offset -> number of the attempt that comes next, where it is not the first
    - ``blocked``: digests of the keys that follow a dead letter (see ``rules.blocked``)
    """

    runs: tuple[int, ...] = ()
    attempts: Mapping[int, int] = {}
    ownership: Ownership = Ownership()
    blocked: bytes = b""

    @classmethod
    def of(
        cls,
        committed: int,
        finished: Iterable[Run],
        attempts: Mapping[int, int],
        ownership: Ownership,
        blocked: bytes = b"",
    ) -> Self:
        """A note beside the committed offset *committed*; all offsets given are absolute."""
        remembered = sorted(attempts.items())[:MAX_ATTEMPTS]
        return cls(
            _relative(committed, finished),
            {offset - committed: number for offset, number in remembered},
            ownership.shifted(-committed),
            blocked,
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
        if not is_ours(metadata):
            return CommitNote()
        try:
            note = _DECODER.decode(zlib.decompress(base64.b85decode(metadata[2:])))
        except (ValueError, zlib.error, binascii.Error, msgspec.DecodeError):
            return CommitNote()
        return note if note.makes_sense() else CommitNote()

    def makes_sense(self) -> bool:
        """Whether the runs can have been written by ``of``. The first one may begin at the committed offset itself:
        an earlier owner finished it, and this one has not been delivered it yet."""
        return (
            len(self.runs) % 2 == 0
            and min(self.runs[:1], default=0) >= 0
            and all(n > 0 for n in self.runs[1:])
        )


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
