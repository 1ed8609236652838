"""Where one consumer stands in its consumer group."""

from __future__ import annotations


class GroupStatus:
    """What a session knows of its group. Times are those of the event loop's clock, in seconds.

    ``joined``: the group has assigned partitions at least once. ``rebalancing_since``: when the rebalance began that is under
    way, None when there is none. ``last_record``: when a record was fetched last, or partitions were assigned.
    """

    def __init__(self, now: float) -> None:
        self.joined = False
        self.rebalancing_since: float | None = now
        self.last_record = now

    @property
    def is_rebalancing(self) -> bool:
        """The group decides who has which partition: nothing is fetched, and no commit is accepted."""
        return self.rebalancing_since is not None

    def rebalance_began(self, now: float) -> None:
        """The group takes partitions away at *now*."""
        self.rebalancing_since = now

    def rebalance_ended(self, now: float) -> None:
        """The group has assigned partitions at *now*."""
        self.joined = True
        self.rebalancing_since = None
        self.last_record = now

    def record_arrived(self, now: float) -> None:
        """A fetch has brought records at *now*."""
        self.last_record = now
