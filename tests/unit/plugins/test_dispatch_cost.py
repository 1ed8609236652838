"""What plugins cost a message, counted in Python calls: a count is the same on a busy machine, a time is not."""

from __future__ import annotations

import asyncio
import sys
from types import FrameType
from typing import Any

import pytest

from core_messaging import hookimpl
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.observers import NOBODY
from core_messaging.plugins.hookspecs import OBSERVERS
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.settings import Settings
from tests.unit.engine.test_hot_path import CountingLoop, work

MESSAGES = 2_000


class Cost:
    """Python functions called, and tasks and futures made, a message."""

    def __init__(self, *plugins: Any) -> None:
        self._calls = 0
        broker = MemoryBroker({"hot": 4})
        for number in range(MESSAGES):
            broker.put("hot", b'{"id": 1}', b"key-%d" % (number % 100))
        reports = [PluginReport(f"p{index}", "test", plugin=plugin) for index, plugin in enumerate(plugins)]
        loop = CountingLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            before = sys.getprofile()
            sys.setprofile(self._count)
            try:
                runner.run(work(broker, MESSAGES, Plugins(reports, Settings())))
            finally:
                sys.setprofile(before)
        self.calls = self._calls / MESSAGES
        self.made = loop.made / MESSAGES

    def _count(self, _frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            self._calls += 1


def cost(*plugins: Any) -> Cost:
    """The cheapest of three runs: on a busy machine a run looks for messages more often, and counts that too."""
    return min((Cost(*plugins) for _ in range(3)), key=lambda run: run.calls)


class OnSuccess:
    @hookimpl
    def on_success(self, result: Any) -> None: ...


class OnlyOthers:
    """Everything that is not told for each message that succeeds."""

    @hookimpl
    def on_start(self) -> None: ...

    @hookimpl
    async def on_error(self) -> None: ...

    @hookimpl
    def metrics(self, snapshot: Any) -> None: ...


def test_a_hook_nobody_implements_is_an_empty_slot_and_no_call() -> None:
    observers = Plugins([PluginReport("p", "test", plugin=OnlyOthers())], Settings()).observers()
    told = [hook for hook in (*OBSERVERS, "wrap_process") if getattr(observers, hook) is not None]
    assert told == ["on_start", "on_error", "metrics"]
    assert Plugins([], Settings()).observers() == NOBODY
    assert cost(OnlyOthers()).calls == pytest.approx(cost().calls, abs=0.9)


def test_a_plain_on_success_costs_a_few_calls_a_message_and_no_task_or_future() -> None:
    nobody, one, two = cost(), cost(OnSuccess()), cost(OnSuccess(), OnSuccess())
    # 3.2 and 4.4 it is, of which the second has the one that goes round: one more call each would show.
    assert one.calls - nobody.calls <= 4.0
    assert two.calls - one.calls <= 5.0
    assert two.made == pytest.approx(nobody.made, abs=0.1)
