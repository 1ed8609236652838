"""What the client has fetched and nobody has taken yet.

The client's ``getmany`` empties one partition before it looks at the next, and where each partition is asked on its own it
looks at all of them for each. So the buffer is read here as ``getmany`` reads it (aiokafka 0.13 and 0.14), without awaiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core_messaging.records import Record


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

    def read(self, source: Any, limit: int) -> Sequence[Record]:
        """Up to *limit* records of *source*. Raises what the client raises where it cannot parse them."""
        fetcher = self._fetcher
        found = fetcher._records[source]  # noqa: SLF001
        records: Sequence[Record] = found.getall(limit)
        if not found.has_more():
            del fetcher._records[source]  # noqa: SLF001
            fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001 - it may ask for more
        return records
