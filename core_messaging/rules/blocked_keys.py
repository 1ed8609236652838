"""Keys whose later messages follow a dead letter to its queue, until it is replayed or cleared."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from core_messaging.records import Headers

MOST = 64  # keys of a partition; so many always fit beside the commit
SIZE = 6  # bytes of a digest, because keys can be long; one key in 10 ** 12 is mistaken for one of 64 others

# A record of the key with this header lifts the block. With "replay" the record is then processed as any other message, with
# "clear" it is not.
HEADER = "core-unblock"
REPLAY, CLEAR = b"replay", b"clear"


class BlockedKeys:
    """The blocked keys of one partition, by their digests."""

    __slots__ = ("_digests", "_reserved")

    def __init__(self, packed: bytes = b"") -> None:
        self._reserved: set[bytes] = set()  # their dead letters are sent and not acknowledged
        self._digests = {packed[at : at + SIZE]: None for at in range(0, len(packed), SIZE)}

    def __contains__(self, key: bytes | None) -> bool:
        return bool(self._digests) and key is not None and digest(key) in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    @property
    def full(self) -> bool:
        """No place is left: the dead letter of one more key has to wait until one of these keys is replayed or cleared."""
        return len(self._digests) + len(self._reserved) >= MOST

    def reserve(self, key: bytes | None) -> bool:
        """Keep a place for *key*, a message of which is about to be dead-lettered. False: there is none.

        No message follows one without a key, so that needs no place.
        """
        if key is None or (mine := digest(key)) in self._digests:
            return True
        if len(self._digests) + len(self._reserved - {mine}) >= MOST:
            return False
        self._reserved.add(mine)
        return True

    def add(self, key: bytes | None) -> None:
        """The dead letter is acknowledged: later messages of *key* follow it from here on."""
        if key is not None:
            self._digests[digest(key)] = None
            self._reserved.discard(digest(key))

    def discard(self, key: bytes | None) -> None:
        """Lift the block of *key*; a key that is not blocked is no error."""
        if key is not None:
            self._digests.pop(digest(key), None)

    def packed(self) -> bytes:
        """Return the digests as the metadata of a commit holds them."""
        return b"".join(self._digests)


def digest(key: bytes) -> bytes:
    """Return a short hash of *key*, to store many keys in little memory."""
    return blake2b(key, digest_size=SIZE).digest()


def unblocking(headers: Headers | Iterable[tuple[str, bytes]]) -> bytes | None:
    """Return REPLAY or CLEAR where *headers* say so; None where they lift no block."""
    for name, value in headers:
        if name == HEADER and value in (REPLAY, CLEAR):
            return value
    return None
