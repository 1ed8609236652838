"""Counts the messages of a contestant. Unless each is handled exactly once, the round is an error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from statistics import quantiles
from time import perf_counter, process_time

from benchmarks.task import KEYS, Outcome, Task


class Miscounted(Exception):
    """A contestant lost or repeated messages, so its figure is not valid."""


class Tally:
    """The counts of one round. The handler calls ``one`` at its end."""

    def __init__(self, task: Task) -> None:
        self.task = task
        # Messages that fail on purpose are not counted.
        self.left = sum(number % KEYS >= task.failing for number in range(task.skip, task.count))
        self.repeated = 0
        self.started = self.ended = self.cpu = self._cpu_before = 0.0
        self.complete = threading.Event()
        self.latencies: list[float] = []
        self._seen = bytearray(task.count)
        self._lock = threading.Lock()
        self._told: Callable[[], object] = self.complete.set

    def begin(self) -> None:
        """Note that the first message is about to be handled. Later calls do nothing."""
        if not self.started:
            self.started, self._cpu_before = perf_counter(), process_time()

    def one(self, number: int) -> None:
        """Note that message *number* is handled."""
        if self._seen[number]:
            self.repeated += 1
            return
        self._seen[number] = 1
        self.left -= 1
        if not self.left and not self.task.output:
            self.finish(perf_counter())

    def one_of_threads(self, number: int) -> None:
        """Do the same as ``one``, from any thread."""
        with self._lock:
            self.one(number)

    def late(self, number: int, sent: float) -> None:
        """Note that message *number*, sent at *sent* (monotonic clock of this machine), is handled."""
        if number >= self.task.skip:
            self.latencies.append(perf_counter() - sent)
            self.one(number)

    def finish(self, now: float) -> None:
        """End the round."""
        self.ended = now
        self.cpu = process_time() - self._cpu_before
        self.complete.set()
        self._told()

    async def wait(self) -> None:
        """Wait until the round is over; for contestants on an event loop."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        self._told = lambda: loop.call_soon_threadsafe(over.set)
        if not self.complete.is_set():
            await over.wait()

    def outcome(self) -> Outcome:
        """Raises Miscounted unless every message was handled exactly once."""
        if self.left or self.repeated:
            raise Miscounted(f"{self.left} messages were not handled, {self.repeated} more than once")
        seconds = self.ended - self.started
        if not self.latencies:
            return Outcome(count=self.task.count, seconds=seconds, cpu=self.cpu)
        cuts = quantiles(self.latencies, n=100)
        return Outcome(
            count=len(self.latencies),
            seconds=seconds,
            cpu=self.cpu,
            p50=cuts[49] * 1e3,
            p99=cuts[98] * 1e3,
        )
