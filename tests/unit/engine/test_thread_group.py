"""Threads that take calls from a queue: each call is made once or never, and many answers wake the event loop once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

from core_messaging.engine.thread_group import ThreadGroup

Facts = TypeVarTuple("Facts")
LONG = 30.0  # seconds; how long a test waits for an event before it fails


class Made:
    """A call that counts how often it was made and told."""

    def __init__(self, action: Callable[[], object] = lambda: None) -> None:
        self.action = action
        self.made = 0
        self.told = asyncio.Event()

    def make(self) -> None:
        self.action()
        self.made += 1

    def tell(self) -> None:
        assert not self.told.is_set()
        self.told.set()


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often a thread wakes it."""

    woken = 0

    def call_soon_threadsafe(
        self, callback: Callable[[*Facts], object], *args: *Facts, context: Context | None = None
    ) -> asyncio.Handle:
        self.woken += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_answers_that_come_together_wake_the_event_loop_once() -> None:
    loop = CountingLoop()

    async def test() -> list[Made]:
        group = ThreadGroup[Made]("many", 8)
        calls = [Made() for _ in range(8)]
        begun = threading.Barrier(9)
        for call in calls:
            call.action = lambda: begun.wait(LONG)
            group.add(call)
        begun.wait(LONG)
        group.shutdown()
        group.join()  # the event loop stands still until all threads have answered
        for call in calls:
            await call.told.wait()
        return calls

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        calls = runner.run(test())
    assert [call.made for call in calls] == [1] * 8
    assert loop.woken == 1


def test_a_thread_that_is_free_takes_the_next_call_without_the_event_loop() -> None:
    async def test() -> None:
        group, third = ThreadGroup[Made]("one", 1), threading.Event()
        for action in (lambda: None, lambda: None, third.set):
            group.add(Made(action))
        assert third.wait(LONG)  # the event loop stands still here
        group.shutdown()

    asyncio.run(test())


def test_each_call_is_made_or_withdrawn_and_never_both() -> None:
    async def test() -> None:
        group = ThreadGroup[Made]("race", 4)
        calls = [Made() for _ in range(2_000)]
        withdrawn = set[Made]()
        for number, call in enumerate(calls):
            group.add(call)
            if number % 3 == 0 and group.withdraw(call):
                withdrawn.add(call)
        for call in calls:
            if call not in withdrawn:
                await asyncio.wait_for(call.told.wait(), LONG)
        group.shutdown()
        group.join()
        assert all(call.made == (call not in withdrawn) for call in calls)
        assert not group.waiting()

    asyncio.run(test())


def test_no_more_calls_are_made_at_a_time_than_there_are_threads() -> None:
    async def test() -> None:
        group, gate, begun = ThreadGroup[Made]("three", 3), threading.Event(), threading.Semaphore(0)

        def stand() -> None:
            begun.release()
            assert gate.wait(LONG)

        calls = [Made(stand) for _ in range(9)]
        for call in calls:
            group.add(call)
        for _ in range(3):
            assert begun.acquire(timeout=LONG)
        assert group.is_full
        assert len(group.waiting()) == 6
        gate.set()
        for call in calls:
            await asyncio.wait_for(call.told.wait(), LONG)
        assert not group.is_full
        group.shutdown()

    asyncio.run(test())


def test_at_a_shutdown_what_waits_is_not_made_and_idle_threads_end() -> None:
    async def test() -> None:
        group, gate, begun = ThreadGroup[Made]("last", 1), threading.Event(), threading.Event()

        def stand() -> None:
            begun.set()
            assert gate.wait(LONG)

        first, second = Made(stand), Made()
        group.add(first)
        group.add(second)
        assert begun.wait(LONG)
        group.shutdown()
        gate.set()
        group.join()
        assert (first.made, second.made) == (1, 0)

    asyncio.run(test())
    assert not any(thread.name.startswith("last") for thread in threading.enumerate())


PROGRAM = """
import asyncio, threading
from core_messaging.engine.thread_group import ThreadGroup

class Slow:
    def make(self):
        begun.set()
        threading.main_thread().join(0.3)
        print("made", flush=True)
    def tell(self): ...

begun = threading.Event()

async def main():
    ThreadGroup("slow", 2).add(Slow())
    begun.wait()

asyncio.run(main())
"""


def test_a_program_that_ends_waits_for_the_calls_that_run() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "made", "")
