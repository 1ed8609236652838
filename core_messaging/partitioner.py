"""Chooses the partition of a key as Kafka's own clients do: by the murmur2 hash of the key."""

from __future__ import annotations

from functools import lru_cache

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_WORD = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of *key* in a topic that has *partitions* (at least one) partitions."""
    return (murmur2(bytes(key)) & 0x7FFFFFFF) % partitions


# The same keys come again and again, and a hash in Python takes longer than everything else that a publisher does with a
# record.
@lru_cache(maxsize=16_384)
def murmur2(data: bytes) -> int:
    """Return the 32-bit hash of *data*, unsigned.

    Kafka's Java client shows the same bits as a signed int.
    """
    value = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _FACTOR & _WORD
        word = (word ^ word >> 24) * _FACTOR & _WORD
        value = (value * _FACTOR & _WORD) ^ word
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _FACTOR & _WORD
    value = (value ^ value >> 13) * _FACTOR & _WORD
    return value ^ value >> 15
