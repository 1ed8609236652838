"""How much memory records take: values, keys and headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core_messaging.records import Record

HEADER = 128  # bytes of the objects that hold the name and the value of a header


def sizes_of(records: Sequence[Record]) -> list[int]:
    """Return the bytes of each of *records*, about."""
    return [
        len(record.value or b"")
        + len(record.key or b"")
        + (headers_size(record.headers) if record.headers else 0)
        for record in records
    ]


def headers_size(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Return the bytes of *headers* and of the objects that hold them."""
    return sum([HEADER + len(name) + len(value or b"") for name, value in headers])
