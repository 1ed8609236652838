"""Where one consumer stands in its consumer group."""

from __future__ import annotations


class GroupStatus:
    """What a session knows of its group. Times are those of the event loop's clock, in seconds.

    - ``joined``: the group has assigned partitions at least once
    - ``rebalancing_since``: when the rebalance took its last partition; None if it has partitions, or the group has none for it
    - ``last_record``: when a record was fetched last, or partitions were assigned
    """

    def __init__(self, now: float) -> None:
        self.joined = False
        self.rebalancing_since: float | None = now
        self.last_record = now

    @property
    def is_rebalancing(self) -> bool:
        """The member waits for its group, and has no partition until then."""
        return self.rebalancing_since is not None

    def left_without_partitions(self, now: float) -> None:
        """The group takes the last partition away at *now*."""
        self.rebalancing_since = now

    def rebalance_ended(self, now: float) -> None:
        """The group has decided at *now*."""
        self.joined = True
        self.rebalancing_since = None
        self.last_record = now

    def record_arrived(self, now: float) -> None:
        """A fetch has brought records at *now*."""
        self.last_record = now
