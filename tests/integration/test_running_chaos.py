"""A short chaos on three nodes of Apache Kafka; ``make chaos`` is the long one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chaos.cluster import running
from chaos.faults import Exposure
from chaos.ledger import Entry
from chaos.trial import _bound, run
from tests.integration.brokers import require_apache

SHORT = ("connections-cut", "SIGKILL", "leader-moved", "SIGTERM")


@pytest.mark.timeout(300)
def test_three_workers_on_three_nodes_lose_nothing_and_keep_each_key_in_order(tmp_path: Path) -> None:
    require_apache()

    async def test() -> None:
        async with running(tmp_path / "kafka") as cluster:
            books = await run("short", SHORT, cluster, tmp_path, 8_000, seed=1)
        assert (books.lost, books.out_of_order) == (0, 0), books
        assert books.repeated <= books.bound, books
        assert books.finished + books.dead_lettered >= books.sent
        assert books.dead_lettered > 20

    asyncio.run(test())


def test_the_bound_is_what_was_finished_in_the_time_and_process_of_each_fault_and_in_flight() -> None:
    entries = [Entry(float(n), "finish", "k", n, pid=n % 2) for n in range(10)]
    assert _bound(entries, []) == 0
    assert _bound(entries, [Exposure(2.0, 5.0, pid=1)]) == 2 + 8
    assert _bound(entries, [Exposure(2.0, 5.0), Exposure(9.0, 9.0)]) == 4 + 1 + 2 * 24
