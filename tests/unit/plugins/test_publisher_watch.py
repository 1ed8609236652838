"""Whoever watches publishers sees each one that is made, and costs nothing once it has stopped."""

from __future__ import annotations

from typing import Any

from core_messaging.plugins.publisher_watch import watch_publishers, watched


def test_those_who_watch_wrap_each_new_publisher_in_turn_until_they_stop() -> None:
    publisher: Any = "publisher"
    assert watched(publisher) is publisher
    stop_first = watch_publishers(lambda inner: f"first({inner})")  # type: ignore[arg-type, return-value]
    stop_second = watch_publishers(lambda inner: f"second({inner})")  # type: ignore[arg-type, return-value]
    try:
        assert watched(publisher) == "second(first(publisher))"  # type: ignore[comparison-overlap]
        stop_first()
        stop_first()  # a plugin may be closed twice
        assert watched(publisher) == "second(publisher)"  # type: ignore[comparison-overlap]
    finally:
        stop_second()
    assert watched(publisher) is publisher
