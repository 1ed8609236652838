"""Records for tests of the rules."""

from __future__ import annotations

from dataclasses import dataclass

from core_messaging.records import Headers


@dataclass(frozen=True, slots=True)
class PlainRecord:
    """A record as the rules see one."""

    offset: int
    key: bytes | None = None
    value: bytes | None = b"{}"
    topic: str = "t"
    partition: int = 0
    timestamp: int = 0
    headers: Headers = ()
