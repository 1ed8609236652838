"""Batches larger than what a partition may have of the intake."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker

WAIT = 600.0  # seconds that a batch waits for company


def sizes_within_a_minute(settings: Mapping[str, Any], *, count: int, **options: Any) -> list[int]:
    """Of the batches that a worker with a backlog of 12 partitions starts in its first minute."""
    broker, sizes = MemoryBroker({"in": 12}), list[int]()
    for number in range(count):
        broker.put("in", b"x" * 100, partition=number % 12)

    async def process_batch(self: Worker, messages: list[bytes]) -> None:
        sizes.append(len(messages))
        await asyncio.sleep(1)

    given = {"batch_size": 1_000, "batch_timeout": WAIT, "process_batch": process_batch, **options}
    made = type("InBatches", (Worker,), {"input_topic": "in", "group_id": "g", **given})

    async def test() -> None:
        run = RunOptions(settings=Settings(**settings), broker=broker, handle_signals=False)
        working = asyncio.create_task(run_workers([made], run))
        await asyncio.sleep(60)
        assert not working.done()
        working.cancel()
        await asyncio.wait([working])

    run_virtually(test())
    return sizes


@pytest.mark.parametrize("slots", [1, 12])
@pytest.mark.parametrize("ordering", ["key", "none"])
def test_batches_beyond_the_share_of_a_partition_are_full(slots: int, ordering: str) -> None:
    # Each waited for its time-out: the intake was full and none of the batches was.
    sizes = sizes_within_a_minute({}, count=24_000, concurrency=slots, ordering=ordering)
    assert sizes == [1_000] * 24


def test_batches_that_can_never_be_full_start_with_what_there_is_and_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sizes = sizes_within_a_minute({"max_in_flight": 800}, count=6_000)
    assert sum(sizes) >= 5_000
    assert caplog.text.count("no batch can have batch_size = 1000 messages, because max_in_flight = 800") == 1


def test_batches_that_the_bytes_in_flight_keep_from_being_full_start_with_what_there_is() -> None:
    sizes = sizes_within_a_minute({"max_in_flight_bytes": 12_000}, count=1_200, concurrency=4)
    assert sum(sizes) >= 1_000
