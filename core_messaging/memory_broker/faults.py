"""The faults that a test sets in the in-memory broker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from core_messaging.errors import BrokerError, BrokerUnreachable, PublishFailed, RecordTooLarge
from core_messaging.records import Outgoing

ADDRESS = "memory"


@dataclass(slots=True)
class Faults:
    """Which calls are to fail, and how many times.

    ``commits``, ``fetches``: how many of the next ones fail. ``publishes``: topic -> the same for records. ``largest``:
    bytes that a record may have; None: any number. ``unreachable``: whether every start fails.
    """

    commits: int = 0
    fetches: int = 0
    publishes: Counter[str] = field(default_factory=Counter)
    largest: int | None = None
    unreachable: bool = False

    def check_reachable(self) -> None:
        """Raise BrokerUnreachable while ``unreachable`` is set."""
        if self.unreachable:
            raise BrokerUnreachable(ADDRESS, "MemoryBroker.unreachable is set")

    def check_commit(self) -> None:
        """Raise BrokerError if this commit is to fail."""
        if self.commits > 0:
            self.commits -= 1
            raise BrokerError("the commit failed because fail_commits asked for it; commit again")

    def check_fetch(self) -> None:
        """Raise BrokerError if this fetch is to fail."""
        if self.fetches > 0:
            self.fetches -= 1
            raise BrokerError("the fetch failed because fail_fetches asked for it; open another member")

    def check_size(self, record: Outgoing) -> None:
        """Raise RecordTooLarge if *record* has more bytes than ``largest``."""
        size = len(record.key or b"") + len(record.value or b"")
        size += sum(len(name.encode()) + len(value) for name, value in record.headers)
        if self.largest is not None and size > self.largest:
            raise RecordTooLarge(
                record.topic, f"it has {size} bytes, the limit is {self.largest}", "make it smaller"
            )

    def check_publish(self, topic: str) -> None:
        """Raise PublishFailed if this record for *topic* is to fail."""
        if self.publishes[topic] > 0:
            self.publishes[topic] -= 1
            raise PublishFailed(topic, "fail_publishes asked for it")
