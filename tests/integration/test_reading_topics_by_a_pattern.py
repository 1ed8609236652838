"""A worker reads topics by a pattern, and what people look at shows which ones."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from core_messaging.context import Context
from core_messaging.kafka.client import KafkaBroker
from core_messaging.operations.doctor import examine
from core_messaging.operations.lag import lag_now
from core_messaging.operations.topics import plan_of
from core_messaging.worker import Worker, config_of
from tests.integration.brokers import RunningBroker
from tests.integration.harness import publish, run, running, settings_for, until


def test_a_topic_that_is_created_later_is_read_and_shown_and_a_dead_letter_is_not(
    apache_broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    stem, seen = f"by-pattern-{uuid.uuid4().hex[:8]}", list[str]()

    class Orders(Worker):
        input_topic = re.compile(rf"{stem}\..*")
        group_id = stem
        dlq_topic = f"{stem}.dlq"
        max_retries = 0

        async def process(self, message: dict[str, Any], context: Context) -> None:
            seen.append(context.topic)
            if message["fails"]:
                raise ValueError("no")

    settings = settings_for(apache_broker.address)
    topics = KafkaBroker(settings).topics()

    async def shown() -> str:
        configs = [config_of(Orders)]
        plan = await plan_of(settings, configs)
        (lag,) = await lag_now(settings, configs)
        findings = [f.text for f in await examine(settings, configs) if f.check == "pattern of Orders"]
        names = " ".join(str(use.topic) for use in plan.uses)
        return f"{plan.patterns} {names} {findings} {lag.worker.input_topics}"

    async def test() -> None:
        await topics.create([f"{stem}.dlq"], 1, 1)
        assert (await shown()).count("there is none") == 2
        # Neither the age of the metadata nor a restart: the default is what finds the topic.
        async with running(apache_broker.address, Orders) as task:
            await until(lambda: f"no topic matches the pattern {stem}" in caplog.text, task)
            await topics.create([f"{stem}.eu"], 1, 1)
            await publish(apache_broker.address, f"{stem}.eu", [b'{"fails": true}', b'{"fails": false}'])
            await until(lambda: len(seen) == 2, task)
        assert (await shown()).count(f"{stem}.eu") == 4

    run(test())
    assert seen == [f"{stem}.eu"] * 2
    assert f"{stem}.eu now matches" in caplog.text
    assert f"{stem}.dlq left out" in caplog.text
