"""Long-lived threads that take calls from a queue and answer many of them in one turn of the event loop."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections import deque
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

GO, END = True, False


class Call(Protocol):
    """A call that a thread makes. Neither method may raise."""

    def make(self) -> None:
        """Make the call, in a thread."""
        ...

    def tell(self) -> None:
        """Hand its outcome over to who waits for it, in the event loop."""
        ...


Made = TypeVar("Made", bound=Call)


class ThreadGroup(Generic[Made]):
    """Up to *count* threads of one event loop. They start when they are needed, and live until ``shutdown``.

    Only who takes a call out of ``_waiting`` may make it: a thread that is free, or the event loop, which gives it back.
    So a call is made once or never.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._most = count
        self._loop = asyncio.get_running_loop()
        self._threads: list[threading.Thread] = []
        self._waiting: deque[Made] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()  # GO for each call that waits, END for each thread
        self._answered: deque[Made] = deque()
        self._is_waking = False  # the event loop is going to look at what is answered
        self._under_way = 0  # calls that wait, run, or are answered and not told yet
        _groups.add(self)

    @property
    def is_full(self) -> bool:
        """Whether a call that is added now has to wait for a thread."""
        return self._under_way >= self._most

    def add(self, call: Made) -> None:
        """Have *call* made by the next thread that is free."""
        if len(self._threads) <= self._under_way and len(self._threads) < self._most:
            self._start_thread()
        self._under_way += 1
        self._waiting.append(call)
        self._bell.put(GO)

    def withdraw(self, call: Made) -> bool:
        """Take *call* back. False: a thread has it."""
        try:
            self._waiting.remove(call)
        except ValueError:
            return False
        self._under_way -= 1
        return True

    def waiting(self) -> list[Made]:
        """Calls that no thread has taken yet. A thread may take one at any time."""
        return list(self._waiting.copy())

    def _start_thread(self) -> None:
        name = f"{self._name}_{len(self._threads)}"
        # A daemon: Python waits at its end for all other threads, also for idle ones. ``_end_all`` waits for calls.
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads for us
            if not self._threads:
                raise
            self._most = len(self._threads)
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        heard, take, answered = self._bell.get, self._waiting.popleft, self._answered
        while heard():
            try:
                call = take()
            except IndexError:
                continue  # it was withdrawn
            call.make()
            answered.append(call)
            del call  # the message must not live until the next one comes
            if not self._is_waking:
                self._is_waking = True
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
                    self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        """Tell all that was answered until now."""
        self._is_waking = False  # first: what is answered from now on wakes the loop again
        answered = self._answered
        while answered:
            self._under_way -= 1
            answered.popleft().tell()

    def shutdown(self) -> None:
        """No further call begins. Those that run are not waited for."""
        for call in self.waiting():
            self.withdraw(call)
        for _ in self._threads:
            self._bell.put(END)

    def join(self) -> None:
        """Wait for the calls that run."""
        for thread in self._threads:
            thread.join()


_groups: WeakSet[ThreadGroup[Any]] = WeakSet()


@atexit.register
def _end_all() -> None:
    """Wait for the calls that run, as Python does with the threads of an executor."""
    for group in tuple(_groups):
        group.shutdown()
        group.join()
