"""What a test asks the in-memory broker to do wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from core_messaging.errors import BrokerError, BrokerUnreachable, PublishFailed, RecordTooLarge
from core_messaging.records import Outgoing

ADDRESS = "memory"


@dataclass(slots=True)
class Faults:
    """What is to go wrong, and how often yet."""

    commits: int = 0
    fetches: int = 0
    publishes: Counter[str] = field(default_factory=Counter)
    largest: int | None = None
    unreachable: bool = False

    def check_reachable(self) -> None:
        if self.unreachable:
            raise BrokerUnreachable(ADDRESS, "MemoryBroker.unreachable is set")

    def check_commit(self) -> None:
        if self.commits > 0:
            self.commits -= 1
            raise BrokerError("the commit failed because fail_commits asked for it; commit again")

    def check_fetch(self) -> None:
        if self.fetches > 0:
            self.fetches -= 1
            raise BrokerError("the fetch failed because fail_fetches asked for it; open another member")

    def check_size(self, record: Outgoing) -> None:
        size = len(record.key or b"") + len(record.value or b"")
        size += sum(len(name.encode()) + len(value) for name, value in record.headers)
        if self.largest is not None and size > self.largest:
            raise RecordTooLarge(
                record.topic, f"it has {size} bytes, {self.largest} are taken", "make it smaller"
            )

    def check_publish(self, topic: str) -> None:
        if self.publishes[topic] > 0:
            self.publishes[topic] -= 1
            raise PublishFailed(topic, "fail_publishes asked for it")
