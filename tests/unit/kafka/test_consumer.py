"""What a consumer does without its client: pauses, identities and errors between two calls."""

from __future__ import annotations

import asyncio
from typing import Any

from core_messaging.broker import Subscription
from core_messaging.kafka.consumer import KafkaConsumer
from core_messaging.settings import Settings


def consumer(group: str = "g", **settings: Any) -> KafkaConsumer:
    return KafkaConsumer(Settings(**settings), Subscription(group, ("t",), "c"))


def test_a_static_identity_names_the_group_too_so_that_two_workers_of_a_process_differ() -> None:
    identities = {consumer(group, kafka_group_instance_id="pod-1")._instance_id() for group in ("a", "b")}
    assert identities == {"pod-1-a", "pod-1-b"}
    assert consumer()._instance_id() is None


def test_without_a_place_on_this_machine_auto_is_no_identity() -> None:
    assert consumer(kafka_group_instance_id="auto")._instance_id() is None


def test_closing_before_it_was_started_is_safe_and_may_be_repeated() -> None:
    async def test() -> None:
        made = consumer()
        await made.close()
        await made.close()

    asyncio.run(test())
