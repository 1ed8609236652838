"""How much memory records take: values, keys and headers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core_messaging.records import Record

HEADER = 128  # bytes that a header takes beside its name and value: the objects that hold them


def sizes_of(records: Sequence[Record]) -> list[int]:
    """Bytes of each of *records*, about."""
    return [
        len(record.value or b"")
        + len(record.key or b"")
        + (headers_size(record.headers) if record.headers else 0)
        for record in records
    ]


def headers_size(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Bytes of *headers* and of the objects that hold them."""
    return sum([HEADER + len(name) + len(value or b"") for name, value in headers])
