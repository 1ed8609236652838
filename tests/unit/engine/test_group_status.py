"""Where a consumer stands in its group."""

from __future__ import annotations

from core_messaging.engine.group_status import GroupStatus


def test_a_consumer_is_rebalancing_until_the_group_decides_and_while_it_has_no_partition() -> None:
    status = GroupStatus(1.0)
    assert (status.joined, status.is_rebalancing, status.rebalancing_since) == (False, True, 1.0)
    status.rebalance_ended(3.0)
    assert (status.joined, status.is_rebalancing, status.last_record) == (True, False, 3.0)
    status.record_arrived(4.0)
    status.left_without_partitions(5.0)
    assert (status.joined, status.rebalancing_since, status.last_record) == (True, 5.0, 4.0)
