"""``max_in_flight_bytes`` holds whatever the records consist of, and what is let go is let go."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.integration.brokers import RunningBroker

COUNT, SIZE = 300, 1_000_000
BOUND = 8 * 1024 * 1024
MEMBER = """
import asyncio, resource, sys
from core_messaging import Settings, Worker
from core_messaging.runtime.runner import RunOptions, run_workers

done = 0

class Slow(Worker):
    input_topic = group_id = sys.argv[2]

    async def process(self, message: bytes) -> None:
        global done
        done += 1
        await asyncio.sleep(0.02 if done < 100 else 0)

async def main() -> None:
    settings = Settings(kafka_bootstrap_servers=sys.argv[1], max_in_flight_bytes=int(sys.argv[3]))
    working = asyncio.create_task(run_workers([Slow], RunOptions(settings=settings, handle_signals=False)))
    while done < int(sys.argv[4]):
        await asyncio.sleep(0.1)
    working.cancel()
    await asyncio.wait([working])

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
asyncio.run(main())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


async def send(address: str, topic: str, record: dict[str, Any]) -> None:
    """What compresses well takes a fetch of a few kilobytes."""
    producer = AIOKafkaProducer(
        bootstrap_servers=address, compression_type="gzip", max_request_size=4_000_000, max_batch_size=1
    )
    await producer.start()
    try:
        for number in range(COUNT):
            await producer.send_and_wait(topic, partition=number % 2, **record)
    finally:
        await producer.stop()


@pytest.mark.parametrize(
    "record",
    [
        {"key": b"k" * SIZE, "value": b"{}"},
        {"value": b"v" * SIZE},
        {"value": b"{}", "headers": [("h", b"")] * (SIZE // 200)},
    ],
    ids=["keys", "values", "headers"],
)
def test_what_is_fetched_and_not_finished_stays_within_its_bound(
    apache_broker: RunningBroker, record: dict[str, Any]
) -> None:
    address, topic = apache_broker.address, apache_broker.make_topic(2)
    asyncio.run(send(address, topic, record))
    told = subprocess.run(
        [sys.executable, "-c", MEMBER, address, topic, str(BOUND), str(COUNT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    # The bound, a quarter of it for a fetch, a few records of each partition, and what the allocator keeps.
    assert int(told.stdout) < 12 * BOUND < COUNT * SIZE // 2
