"""What the client has fetched and nobody has taken yet.

The client's ``getmany`` empties one partition before it looks at the next, and where each partition is asked on its own it
looks at all of them for each. So the buffer is read here as ``getmany`` reads it (aiokafka 0.13 and 0.14), without awaiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core_messaging.records import Record
from core_messaging.rules.record_size import sizes_of

FIRST, PART = 4, 32  # records that are parsed before it is looked at how large they are


class ClientBuffer:
    """The buffer of one client. A partition whose fetch has failed is not in it: ``getmany`` raises its error."""

    def __init__(self, client: Any) -> None:
        self._fetcher = client._fetcher  # noqa: SLF001 - there is no other way
        self._subscription = client._subscription  # noqa: SLF001

    def sources(self) -> list[Any]:
        """Assigned partitions that have something at hand, in the client's own named tuples."""
        if self._subscription.reassignment_in_progress:
            return []
        return [
            source
            for source, found in self._fetcher._records.items()  # noqa: SLF001
            if hasattr(found, "getall") and self._subscription.is_assigned(source)
        ]

    def read(self, source: Any, limit: int, size: int) -> Sequence[Record]:
        """Up to *limit* records of *source*, no more once they have *size* bytes. Raises what the client raises where it
        cannot parse the first of them."""
        fetcher = self._fetcher
        found = fetcher._records[source]  # noqa: SLF001
        part = FIRST
        records: list[Record] = []
        got = found.getall(min(limit, part))
        while got:
            records += got
            size -= sum(sizes_of(got))
            part = min(2 * part, PART)
            if size <= 0 or len(records) >= limit or not found.has_more():
                break
            try:
                got = found.getall(min(limit - len(records), part))
            # What was parsed of this part is fetched again, and then it is the first.
            except Exception:
                break
        if not found.has_more():
            del fetcher._records[source]  # noqa: SLF001
            fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001 - it may ask for more
        return records
