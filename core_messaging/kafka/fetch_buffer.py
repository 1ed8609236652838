"""Reads the records that the client has fetched and not returned yet, and sets how long its requests wait for more.

The client's ``getmany`` empties one partition before it looks at the next. Called for one partition at a time, it looks at
all of them in each call. So this module reads the buffer as ``getmany`` does (aiokafka 0.13 and 0.14), without an await.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from core_messaging.records import Headers, Record
from core_messaging.rules.record_size import sizes_of

# Records that are parsed before their bytes are counted: at first, and at most.
FIRST_PART, LARGEST_PART = 4, 64


# Milliseconds for which the broker may hold a fetch request that finds no record. The short one is used for some seconds
# after a fetch that left records in the client's buffer.
LONG_POLL, _SHORT_POLL = 500, 20
_SHORT_POLL_PERIOD = 1.0  # seconds
# Of a client that has had no record for so many seconds. What shares its connection (the end offsets) waits behind it.
IDLE_POLL, _IDLE_AFTER = 2_000, 10.0
# Seconds after which the client looks for something to fetch without an event that wakes it, and those of a client that has
# had no record for _IDLE_AFTER seconds. Most events wake it: records that were taken or have come, a seek, a resume, new
# metadata. The first look of a new assignment is sometimes too early, and the next one is the first that finds records.
LOOK, IDLE_LOOK = 0.2, 1.0


# A struct without garbage collection: it is made for every record, and holds nothing that could refer to it. The client's own
# record takes three times as long.
class FetchedRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as it was fetched. See ``records.Record``."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def _fetched(source: Any, parsed: Any) -> FetchedRecord:
    """Return *parsed*, a record of a batch of *source*, in place of the client's ``ConsumerRecord``."""
    headers = parsed.headers
    return FetchedRecord(
        source.topic,
        source.partition,
        parsed.offset,
        parsed.timestamp,
        parsed.key,
        parsed.value,
        tuple(headers) if headers else (),
    )


class PollWait:
    """How long the broker may hold the requests of one client (a started consumer of aiokafka)."""

    def __init__(self, client: Any) -> None:
        self._fetcher = client._fetcher  # noqa: SLF001 - the client has no other way to change it
        self._leftover_at = -math.inf  # when a fetch last left records in the buffer
        self._found_at = math.inf  # when a fetch last found a record, or has looked for the first time

    def choose(self, now: float, *, found: bool, leftover: bool) -> None:
        """Set the wait of the next requests. *now*: seconds. This fetch has *found* a record, and left some in the buffer.

        The client does not ask for a partition while it has records of it, and it has one request under way to each
        broker. A long request for the empty partitions would make the busy partition wait half a second, again and again.
        """
        self._leftover_at = now if leftover else self._leftover_at
        self._found_at = now if found else min(self._found_at, now)
        is_idle = now - self._found_at >= _IDLE_AFTER
        self._fetcher._fetch_max_wait_ms = self._wait(now, is_idle=is_idle)  # noqa: SLF001 - as above
        self._fetcher._fetcher_timeout = IDLE_LOOK if is_idle else LOOK  # noqa: SLF001 - as above

    def _wait(self, now: float, *, is_idle: bool) -> int:
        if now - self._leftover_at < _SHORT_POLL_PERIOD:
            return _SHORT_POLL
        return IDLE_POLL if is_idle else LONG_POLL


class ClientBuffer:
    """The buffer of one client (a started consumer of aiokafka).

    A partition whose fetch has failed is not in it: ``getmany`` raises its error.
    """

    def __init__(self, client: Any) -> None:
        self._fetcher = client._fetcher  # noqa: SLF001 - the client has no public access to it
        self._subscription = client._subscription  # noqa: SLF001

    def sources(self) -> list[Any]:
        """Return the assigned partitions that have records in the buffer, as the client's own named tuples."""
        if self._subscription.reassignment_in_progress:
            return []
        return [
            source
            for source, found in self._fetcher._records.items()  # noqa: SLF001
            if hasattr(found, "getall") and self._subscription.is_assigned(source)
        ]

    def read(self, source: Any, limit: int, size: int) -> Sequence[Record]:
        """Take up to *limit* records of *source* out of the buffer; stop once they have *size* bytes.

        Raises the client's error where the first part of them cannot be parsed.
        """
        fetcher = self._fetcher
        found = fetcher._records[source]  # noqa: SLF001
        _parse_to_ours(found)
        part = FIRST_PART
        records: list[Record] = []
        got = found.getall(min(limit, part))
        while got:
            records += got
            size -= sum(sizes_of(got))
            part = min(2 * part, LARGEST_PART)
            if size <= 0 or len(records) >= limit or not found.has_more():
                break
            try:
                got = found.getall(min(limit - len(records), part))
            # The records of this part are fetched again. Then it is the first part, and the error is raised.
            except Exception:
                break
        if not found.has_more():
            del fetcher._records[source]  # noqa: SLF001
            fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001 - the client may fetch this partition again
        return records


def _parse_to_ours(found: Any) -> None:
    """Let the parser of *found*, what the client has fetched of one partition, make our records.

    The parser of this one partition, and not its class: other consumers of the process are none of ours.
    """
    parser = getattr(found, "_partition_records", None)
    if parser is not None:
        parser._consumer_record = _fetched  # noqa: SLF001 - the parser asks itself for it
