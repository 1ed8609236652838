"""Dead letters for tests: what a worker writes, as it is read back."""

from __future__ import annotations

from core_messaging.rules.dead_letter import dead_letter
from core_messaging.rules.letters import Letter
from tests.unit.rules.records import PlainRecord


def letter(
    offset: int = 0,
    *,
    key: bytes | None = b"k",
    value: bytes | None = b"{}",
    topic: str = "orders",
    original: int | None = None,
    partition: int = 0,
    error: str = "ValueError",
    group: str = "g",
    failed_at: float = 100.0,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> Letter:
    """The letter at *offset* of partition 0 of ``orders-dlq``."""
    source = PlainRecord(
        offset if original is None else original,
        key,
        value,
        topic=topic,
        partition=partition,
        headers=headers,
    )
    written = dead_letter(
        source,
        topic="orders-dlq",
        worker="W",
        group_id=group,
        attempts=4,
        error=type(error, (Exception,), {})("no"),
        failed_at=failed_at,
    )
    return Letter(PlainRecord(offset, key, value, topic="orders-dlq", partition=0, headers=written.headers))
