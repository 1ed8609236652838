"""An observer that raises, hangs or is slow never changes another one's call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import pytest

from core_messaging.observers import Tell, tell
from core_messaging.plugins import dispatch, isolation
from core_messaging.plugins.dispatch import Implementation, tell_all
from core_messaging.plugins.isolation import abandon_unfinished
from tests.unit.plugins.hook_managers import manager


def teller(
    hook: str, limit: float = 1.0, **functions: Callable[..., Any]
) -> tuple[Tell, list[Implementation]]:
    made = manager(**{name: (hook, function) for name, function in functions.items()})
    found = [Implementation(hook, impl, limit) for impl in getattr(made.hook, hook).get_hookimpls()]
    told = tell_all(found)
    assert told is not None
    return told, found


FACTS = {"worker": "W", "message": 1, "result": 2, "context": None}


def test_an_implementation_gets_the_arguments_it_names_and_only_those() -> None:
    seen: list[Any] = []
    told, _ = teller(
        "on_success", a=lambda result, worker: seen.append((result, worker)), b=lambda: seen.append("b")
    )
    asyncio.run(tell(told, **FACTS))
    assert seen == [(2, "W"), "b"]


def test_plain_implementations_make_no_coroutine() -> None:
    told, _ = teller("on_success", a=lambda result: None)
    assert told(**FACTS) is None


@pytest.mark.parametrize(
    "error", [ValueError("boom"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()]
)
def test_one_that_raises_is_named_and_the_others_are_told(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def bad() -> None:
        raise error

    async def bad_async() -> None:
        raise error

    async def good_async() -> None:
        seen.append("async")

    told, found = teller(
        "on_success", bad=bad, bad_async=bad_async, good=lambda: seen.append("def"), good_async=good_async
    )
    asyncio.run(tell(told, **FACTS))
    assert seen == ["def", "async"]
    assert [f.failures for f in found] == [1, 1, 0, 0]
    assert "plugin bad: on_success raised" in caplog.text
    assert "the message is not affected" in caplog.text


def test_one_that_hangs_is_given_up_after_its_time(caplog: pytest.LogCaptureFixture) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    told, (found,) = teller("on_success", limit=0.01, hangs=hangs)
    asyncio.run(tell(told, **FACTS))
    assert found.failures == 1
    assert "took longer than plugin_timeout = 0.01 s" in caplog.text


def test_after_repeated_failures_it_is_switched_off_with_a_loud_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[int] = []

    def bad() -> None:
        calls.append(1)
        raise ValueError("boom")

    told, (found,) = teller("on_success", bad=bad)
    for _ in range(50):
        told(**FACTS)
    assert len(calls) == found.breaker.threshold == 10
    assert "failed 10 times in a row and is switched off for 60 s" in caplog.text
    assert found.breaker.is_open


def test_after_its_rest_one_call_is_let_through_and_decides(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(dispatch, "monotonic", lambda: now)
    calls: list[float] = []
    well = False

    def recovering() -> None:
        calls.append(now)
        if not well:
            raise ValueError("boom")

    told, (found,) = teller("on_success", recovering=recovering)
    for _ in range(20):
        told(**FACTS)
    assert len(calls) == 10
    now = 1_059.0
    told(**FACTS)
    assert len(calls) == 10
    now = 1_060.0
    told(**FACTS)
    told(**FACTS)
    assert (len(calls), found.breaker.is_open) == (11, True)  # it failed again: off for another 60 s
    now, well = 1_120.0, True
    told(**FACTS)
    told(**FACTS)
    assert (len(calls), found.breaker.is_open) == (13, False)
    assert "plugin recovering: on_success works again" in caplog.text


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_one_that_holds_the_event_loop_is_named_and_beyond_its_limit_counted_as_failed(
    kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, seconds = 0.0, 0.3
    monkeypatch.setattr(dispatch, "monotonic", lambda: now)

    def holds() -> None:
        nonlocal now
        now += seconds

    async def holds_later() -> None:
        await asyncio.sleep(0)
        holds()

    monkeypatch.setattr(isolation, "monotonic", lambda: now)
    told, (found,) = teller("on_success", holder=holds if kind == "def" else holds_later)
    asyncio.run(tell(told, **FACTS))
    assert "plugin holder: on_success held the event loop for 0.3 s" in caplog.text
    assert (found.calls, found.failures) == (1, 0)
    seconds = 3.0
    for _ in range(20):
        asyncio.run(tell(told, **FACTS))
    assert (found.calls, found.failures) == (11, 10)
    assert "longer than plugin_timeout = 1 s" in caplog.text
    assert "switched off for 60 s" in caplog.text


def test_one_that_ignores_its_cancellation_is_left_behind_and_holds_up_no_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stubborn() -> None:
        while True:
            with contextlib.suppress(BaseException):
                await asyncio.Event().wait()

    told, (found,) = teller("on_success", limit=0.01, stubborn=stubborn)

    async def test() -> None:
        async with asyncio.timeout(60):
            await tell(told, **FACTS)
        abandon_unfinished()

    asyncio.run(test())
    assert found.failures == 1


def test_a_message_that_is_cancelled_takes_its_hook_calls_with_it() -> None:
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    told, found = teller("on_success", limit=60, one=hangs, two=hangs)

    async def test() -> None:
        task = asyncio.ensure_future(tell(told, **FACTS))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(0)
        assert ended == ["cancelled", "cancelled"]  # by us: at its end the loop cancels whatever is left

    asyncio.run(test())
    assert [f.failures for f in found] == [0, 0]


def test_tracing_logs_every_call_with_its_time(caplog: pytest.LogCaptureFixture) -> None:
    told, (found,) = teller("on_success", audit=lambda result: None)
    found.trace()
    with caplog.at_level(logging.INFO):
        told(**FACTS)
    assert "plugin audit: on_success(result) took" in caplog.text
