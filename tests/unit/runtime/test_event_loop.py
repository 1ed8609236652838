"""Which event loop a worker runs on is nothing to it; the command's own waits no longer than it has to."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.runtime.event_loop import SHORT, new_event_loop, punctual_loop
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker

MESSAGES = 50


class Flaky(Worker):
    """Fails once a message, and tries again at once."""

    input_topic = "flaky"
    concurrency = 10
    initial_delay = 0.0001  # seconds: uvloop makes no timer of less than half a millisecond
    failed: set[int]
    done: asyncio.Event

    async def process(self, message: dict[str, Any]) -> None:
        number = message["id"]
        if number not in self.failed:
            self.failed.add(number)
            raise ValueError(number)
        if len(self.failed) == MESSAGES:
            self.done.set()


LOOPS = [asyncio.new_event_loop, punctual_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_retries_that_are_due_at_once_are_made(loop_factory: Any) -> None:
    # The second of them asked the first one's alarm for its time; it had none, and the worker ended with a traceback.
    broker = MemoryBroker({"flaky": 4})
    for number in range(MESSAGES):
        broker.put("flaky", b'{"id": %d}' % number, b"key-%d" % number)
    Flaky.failed = set()

    async def test() -> None:
        Flaky.done = asyncio.Event()
        options = RunOptions(settings=Settings(), broker=broker, handle_signals=False)
        working = asyncio.create_task(run_workers([Flaky], options))
        done = asyncio.create_task(Flaky.done.wait())
        async with asyncio.timeout(60):
            await asyncio.wait({working, done}, return_when=asyncio.FIRST_COMPLETED)
        assert not working.done(), working.exception()
        working.cancel()
        await asyncio.wait([working])

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(test())
    assert sum(commit.offset for commit in broker.committed("flaky", "flaky").values()) == MESSAGES


def shortest(seconds: float, make: Callable[[], asyncio.AbstractEventLoop]) -> float:
    """Of 200 waits of so many *seconds*, as measured: on a busy machine some are longer."""

    async def wait() -> float:
        started = time.perf_counter()
        await asyncio.sleep(seconds)
        return time.perf_counter() - started

    with asyncio.Runner(loop_factory=make) as runner:
        return min(runner.run(wait()) for _ in range(200))


@pytest.mark.skipif(sys.platform != "linux", reason="kqueue has no milliseconds to round to")
def test_a_short_wait_is_not_rounded_up_to_milliseconds() -> None:
    # The standard loop takes a millisecond and more, unless the wait is over before it looks.
    assert 0.0001 <= shortest(0.0001, punctual_loop) < 0.001


def test_a_punctual_loop_hears_of_sockets_and_signals_while_it_waits() -> None:
    # Each wait would be short enough for the other kind of waiting, and none of them may end by its time.
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def test() -> None:
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.call_later(SHORT / 2, tick)
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server, asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()
            loop.add_signal_handler(signal.SIGUSR1, heard.set)
            os.kill(os.getpid(), signal.SIGUSR1)
            await heard.wait()
            assert await asyncio.to_thread(lambda: 5) == 5

    def tick() -> None:
        asyncio.get_running_loop().call_later(SHORT / 2, tick)

    with asyncio.Runner(loop_factory=punctual_loop) as runner:
        runner.run(test())


@contextmanager
def many_open_files(count: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < count + 100:
        pytest.skip(f"no more than {limits[1]} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], count + 100), limits[1]))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
    try:
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_where_a_thousand_files_are_open_already_the_loop_is_asyncios() -> None:
    with many_open_files(1100), asyncio.Runner(loop_factory=punctual_loop) as runner:
        runner.run(asyncio.sleep(SHORT / 10))  # ``select`` would raise ValueError


def test_uvloop_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = new_event_loop()
    assert isinstance(loop, uvloop.Loop)
    loop.close()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    loop = new_event_loop()
    assert isinstance(loop, asyncio.SelectorEventLoop)
    loop.close()
