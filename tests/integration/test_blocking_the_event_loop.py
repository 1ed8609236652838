"""A handler that holds up the event loop for longer than the session is thrown out of its group, and kills nobody."""

from __future__ import annotations

import time
from typing import Any

from core_messaging.worker import Worker
from tests.integration.brokers import RunningBroker
from tests.integration.harness import publish, run, running, until_committed


def test_what_blocks_the_loop_beyond_the_session_runs_once_and_is_no_killer(
    apache_broker: RunningBroker,
) -> None:
    address, topic, dlq = apache_broker.address, apache_broker.make_topic(1), apache_broker.make_topic(1)
    seen = list[int]()

    class Blocks(Worker):
        input_topic = group_id = topic
        dlq_topic = dlq

        async def process(self, message: int) -> None:
            seen.append(message)
            if message == 1:
                time.sleep(8)  # noqa: ASYNC251 - what it is about

    async def test() -> None:
        await publish(address, topic, [(b"%d" % number, b"%d" % number) for number in range(4)])
        options: dict[str, Any] = {"kafka_session_timeout": 6.0, "kafka_heartbeat_interval": 1.0}
        async with running(address, Blocks, **options):
            await until_committed(address, topic, 4)

    run(test())
    assert sorted(seen) == [0, 1, 2, 3]
