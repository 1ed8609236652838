"""Topics are looked up without being created."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from core_messaging.kafka.topic_lookup import look_up_topics


class Admin:
    """Answers one metadata request, and keeps it."""

    def __init__(self, *topics: dict[str, Any]) -> None:
        self.answer = {"topics": topics, "cluster_id": "c1"}
        self.asked: list[Any] = []

    async def _send_request(self, request: Any) -> Any:
        self.asked.append(request)
        return SimpleNamespace(to_object=lambda: self.answer)


def topic(name: str, *partitions: int, error: int = 0) -> dict[str, Any]:
    return {
        "topic": name,
        "error_code": error,
        "partitions": [{"partition": n, "replicas": [1, 2]} for n in partitions],
    }


def test_missing_topics_are_named_and_partitions_come_in_order() -> None:
    admin = Admin(topic("there", 2, 0, 1), topic("gone", error=3))
    found = asyncio.run(look_up_topics(admin, ["there", "gone"]))
    assert (dict(found.partitions), list(found.missing)) == ({"there": [0, 1, 2]}, ["gone"])


def test_a_topic_with_a_passing_error_is_not_taken_for_a_missing_one() -> None:
    # The broker says "leader not available" while it elects one; the topic would have been reported as missing.
    admin = Admin(topic("electing", 0, error=5))
    assert list(asyncio.run(look_up_topics(admin, ["electing"])).missing) == []


def test_the_request_allows_no_broker_to_create_the_topic() -> None:
    admin = Admin()
    asyncio.run(look_up_topics(admin, ["t"]))
    (request,) = admin.asked
    assert request._allow_auto_topic_creation is False
