"""Programs that run workers on a broker in memory, each in a process of its own: for signals, forks and exits."""

from __future__ import annotations

import subprocess
import sys
import textwrap

LOOPS = ("asyncio.new_event_loop", "punctual_loop", "uvloop.new_event_loop")

HEAD = """
import asyncio, logging, multiprocessing, os, signal, sys, time
import uvloop
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.runtime.event_loop import punctual_loop
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker

logging.basicConfig(level="INFO", format="%(message)s")
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
broker = MemoryBroker({"in": 1, "out": 1})


def options(**others):
    return RunOptions(settings=Settings(shutdown_timeout=25), broker=broker, **others)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def committed(group):
    return sum(commit.offset for commit in broker.committed(group, "in").values())

"""
TAIL = """

with asyncio.Runner(loop_factory={loop}) as runner:
    runner.run(main())
print("over", flush=True)
"""


def run_program(body: str, loop: str = LOOPS[0]) -> subprocess.CompletedProcess[str]:
    """*body* defines ``async def main()``. What it prints, and the log, as one text: ``stdout``."""
    program = HEAD + textwrap.dedent(body) + TAIL.format(loop=loop)
    return subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
