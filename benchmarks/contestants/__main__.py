"""``python -m benchmarks.contestants TASK``: run one task (JSON); its outcome is the last line of stdout."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import inspect
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import msgspec

from benchmarks.tally import Miscounted, Tally
from benchmarks.task import Loop, Task
from core_messaging.runtime.event_loop import punctual_loop


def _load(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.load", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def _beside(task: Task, tally: Tally) -> Iterator[None]:
    """Run a process that sends while the contestant runs, or that watches its results."""
    helpers = []
    if task.rate:
        helpers.append(_load("pace", task.address, task.topic, task.count, task.rate))
    if task.output:
        helpers.append(watcher := _load("watch", task.address, task.output, task.count))
        threading.Thread(target=_hear, args=(watcher, tally), daemon=True).start()
    try:
        yield
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()


def _hear(watcher: subprocess.Popen[str], tally: Tally) -> None:
    assert watcher.stdout is not None
    ended, now = float(watcher.stdout.readline()), int(watcher.stdout.readline())
    if now != tally.task.count:
        tally.repeated += now - tally.task.count
    tally.finish(ended)


def run(task: Task) -> Tally:
    """Return the tally of the finished round."""
    module, _, name = task.run.partition(":")
    contestant = getattr(importlib.import_module(f"benchmarks.contestants.{module}"), name)
    tally = Tally(task)
    gc.collect()
    gc.freeze()  # for every contestant, as `core kafka worker` does
    with _beside(task, tally):
        if inspect.iscoroutinefunction(contestant):
            with asyncio.Runner(loop_factory=_LOOPS[task.loop]) as runner:
                runner.run(contestant(task, tally))
        else:
            contestant(task, tally)
    return tally


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415 - an extra

    return uvloop.new_event_loop()


_LOOPS: dict[Loop, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "punctual": punctual_loop,
    "uvloop": _uvloop,
}


def main() -> int:
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    task = msgspec.json.decode(sys.argv[1], type=Task)
    tally = run(task)
    try:
        outcome = tally.outcome()
    except Miscounted as error:
        print(f"{task.run}: {error}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(outcome).decode(), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
