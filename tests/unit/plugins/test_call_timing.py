"""What hooks cost is their own time, however they end, and a middleware is counted like any other hook."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from core_messaging import Reject, hookimpl
from core_messaging.observers import tell
from core_messaging.plugins.hook_check import check
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.settings import Settings
from core_messaging.snapshot import HookCalls
from core_messaging.testing.virtual_clock import run_virtually


def plugins_of(**functions: Callable[..., Any]) -> Plugins:
    """A plugin for each, called like it."""
    made = {}
    for name, function in functions.items():
        function.__name__, hook = function.__name__.split("__")[0], function.__name__.split("__")[0]
        made[name] = type("Plugin", (), {hook: staticmethod(hookimpl(function))})()
    reports = [PluginReport(name, "test", hooks=check(one), plugin=one) for name, one in made.items()]
    return Plugins(reports, Settings(plugin_timeout=1.0))


def by_plugin(plugins: Plugins) -> dict[str, HookCalls]:
    return {each.plugin: each for each in plugins.calls()}


@pytest.fixture(autouse=True)
def _virtual_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("isolation", "dispatch", "middleware"):
        monkeypatch.setattr(
            f"core_messaging.plugins.{module}.monotonic",
            lambda: asyncio.get_running_loop().time(),
            raising=True,
        )


def test_each_hook_is_charged_with_its_own_time_however_it_ends() -> None:
    # A fast one was charged with the slowest one's time, and one that raises or hangs with none.
    async def on_success__fast() -> None: ...

    async def on_success__slow() -> None:
        await asyncio.sleep(0.5)

    async def on_success__raises() -> None:
        await asyncio.sleep(0.25)
        raise ValueError("no")

    async def on_success__hangs() -> None:
        await asyncio.sleep(60)

    plugins = plugins_of(
        fast=on_success__fast, slow=on_success__slow, raises=on_success__raises, hangs=on_success__hangs
    )

    async def test() -> None:
        told = plugins.observers().on_success
        assert told is not None
        await tell(told, worker="W", message=1, result=2, context=None)

    run_virtually(test())
    found = by_plugin(plugins)
    assert {name: (each.calls, each.failures) for name, each in found.items()} == {
        "fast": (1, 0),
        "slow": (1, 0),
        "raises": (1, 1),
        "hangs": (1, 1),
    }
    assert [each.seconds for each in found.values()] == pytest.approx([0.0, 0.5, 0.25, 1.0])


def test_a_message_that_is_cancelled_leaves_the_time_that_was_spent() -> None:
    async def on_success() -> None:
        await asyncio.sleep(60)

    plugins = plugins_of(one=on_success)

    async def test() -> None:
        told = plugins.observers().on_success
        assert told is not None
        telling = asyncio.ensure_future(tell(told, worker="W", message=1, result=2, context=None))
        await asyncio.sleep(0.5)
        telling.cancel()
        await asyncio.wait([telling])

    run_virtually(test())
    assert by_plugin(plugins)["one"].seconds == pytest.approx(0.5)


async def wrap_process__waits(call_next: Callable[..., Any], message: Any, context: Any) -> Any:
    await asyncio.sleep(0.25)
    result = await call_next(message, context)
    await asyncio.sleep(0.5)
    return result


async def wrap_process__at_once(call_next: Callable[..., Any], message: Any, context: Any) -> Any:
    return await call_next(message, context)


async def wrap_process__rejects(call_next: Callable[..., Any], message: Any, context: Any) -> Any:
    raise Reject("seen before")


def wrapped(process: Callable[..., Any], **functions: Callable[..., Any]) -> dict[str, HookCalls]:
    plugins = plugins_of(**functions)

    async def test() -> None:
        wrap = plugins.observers().wrap_process
        assert wrap is not None
        with contextlib.suppress(ValueError, Reject):
            assert await wrap(process, "W", 1, None) == 2

    run_virtually(test())
    return by_plugin(plugins)


def test_a_middleware_is_charged_with_its_own_time_and_not_the_handlers() -> None:
    async def process(message: int, _context: Any) -> int:
        await asyncio.sleep(10.0)
        return message + 1

    found = wrapped(process, outer=wrap_process__at_once, inner=wrap_process__waits)
    assert [each.calls for each in found.values()] == [1, 1]
    assert [found["outer"].seconds, found["inner"].seconds] == pytest.approx([0.0, 0.75])


def test_the_handlers_error_is_no_failure_of_the_middleware_around_it() -> None:
    async def process(_message: int, _context: Any) -> int:
        raise ValueError("the handler's")

    found = wrapped(process, outer=wrap_process__at_once, inner=wrap_process__waits)
    assert [each.failures for each in found.values()] == [0, 0]
    found = wrapped(process, outer=wrap_process__at_once, inner=wrap_process__rejects)
    assert {name: each.failures for name, each in found.items()} == {"outer": 0, "inner": 1}
