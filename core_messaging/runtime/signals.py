"""SIGINT, SIGTERM and SIGHUP, caught or passed on by a supervisor: the first asks to stop, the second leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from core_messaging.concurrency.fork_safety import in_forked_child
from core_messaging.runtime.dump_signal import DUMP

# SIGHUP says that the terminal is closed. Windows has none.
HANGUP = getattr(signal, "SIGHUP", None)
STOPPING = (signal.SIGINT, signal.SIGTERM, *(() if HANGUP is None else (HANGUP,)))

Told = Callable[[signal.Signals], None]
Handler = Any  # what ``signal.getsignal`` returns


@contextmanager
def on_signals(first: Told, second: Told, orders: int | None = None) -> Iterator[None]:
    """Call *first* at the first signal to stop and *second* at each one after it; restore on exit.

    *orders*: the pipe from a supervisor, see ``Received``. Several blocks may be open at once, and each of them hears of
    a signal. A handler that the program has set for itself is called too, by its loop or by us; what it raises
    is raised when the last block ends.
    """
    loop = asyncio.get_running_loop()
    received = Received(first, second)
    if orders is not None:
        loop.add_reader(orders, received.read, loop, orders)
    try:
        with _LISTENING.to_signals(loop, received):
            yield
    finally:
        if orders is not None:
            loop.remove_reader(orders)


class Received:
    """Tells a second signal from the first one heard twice.

    A supervisor passes a signal on as one byte, its number. Beside that a service manager may send the same signal to
    all processes of the service itself (systemd does), before the byte or after it. So the two ways are counted each on its
    own: "at once" is what one of them says twice. The end of the pipe means that the supervisor is gone, and is no
    more than a first signal. SIGHUP is never a second signal: the kernel and the shell both send one when a terminal is closed.
    """

    def __init__(self, first: Told, second: Told) -> None:
        self._first, self._second = first, second
        self._asked = self._caught = self._passed_on = False

    def caught(self, number: signal.Signals) -> None:
        """Note a signal that this process has received itself."""
        if number == HANGUP:
            self._tell(number, again=False)
            return
        again, self._caught = self._caught, True
        self._tell(number, again=again)

    def read(self, loop: asyncio.AbstractEventLoop, orders: int) -> None:
        """Read the signals that the supervisor passes on."""
        numbers = os.read(orders, 16)
        if not numbers:
            loop.remove_reader(orders)
            self._tell(signal.SIGTERM, again=False)
        for number in numbers:
            if number == DUMP:
                signal.raise_signal(signal.Signals(number))
                continue
            if number == HANGUP:
                self._tell(signal.Signals(number), again=False)
                continue
            again, self._passed_on = self._passed_on, True
            self._tell(signal.Signals(number), again=again)

    def _tell(self, number: signal.Signals, *, again: bool) -> None:
        if again:
            self._second(number)
        elif not self._asked:
            self._asked = True
            self._first(number)


class _Listening:
    """The signal handlers of this process while at least one block of ``on_signals`` is open.

    They are set by ``signal.signal``, not by the loop's ``add_signal_handler``: a loop has one place for each signal, and
    a program that has filled it would hear of nothing any more.
    """

    def __init__(self) -> None:
        self._listeners: list[tuple[asyncio.AbstractEventLoop, Received]] = []
        self._before: dict[signal.Signals, Handler] = {}
        self._raised: BaseException | None = None

    @contextmanager
    def to_signals(self, loop: asyncio.AbstractEventLoop, received: Received) -> Iterator[None]:
        if not self._listeners:
            self._install()
        listener = (loop, received)
        self._listeners.append(listener)
        try:
            yield
        finally:
            if listener in self._listeners:  # else this is a forked child, which listens to nothing
                self._listeners.remove(listener)
                if not self._listeners:
                    self._restore()

    def _install(self) -> None:
        self._raised = None
        for number in STOPPING:
            before = signal.getsignal(number)
            # ``nohup`` ignores SIGHUP for us, and this is to stay.
            if number != HANGUP or before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._heard)

    def _restore(self) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            # None: set by C code, and out of Python's reach. Another handler: the program has set it meanwhile.
            if handler is not None and signal.getsignal(number) == self._heard:
                signal.signal(number, handler)
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _heard(self, number: int, frame: Any) -> None:
        for loop, received in self._listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(received.caught, signal.Signals(number))
        handler = self._before.get(signal.Signals(number))
        if not callable(handler) or _is_pythons(handler):
            return
        try:
            handler(number, frame)
        except BaseException as error:
            self._raised = error  # ``sys.exit`` as a rule, which has to wait until all is committed

    def forget(self) -> None:
        """In a forked child: the signals are the child's own, and mean what they meant before."""
        before, self._before = self._before, {}
        self._listeners.clear()
        if before:
            signal.set_wakeup_fd(-1)  # the parent's loop listens at the other end
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, _without_loop(number, handler))


def _is_pythons(handler: Handler) -> bool:
    """Whether *handler* is no program's: the one of Python, or of an event loop, which calls its own by itself."""
    return handler is signal.default_int_handler or _is_of_loop(handler)


def _is_of_loop(handler: Handler) -> bool:
    function = getattr(handler, "func", handler)  # asyncio.Runner sets a partial
    module = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
    return str(module).partition(".")[0] in ("asyncio", "uvloop")


def _without_loop(number: signal.Signals, handler: Handler) -> Handler:
    """What stands for *handler* where its event loop does not run."""
    if not _is_of_loop(handler):
        return handler
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


_LISTENING = _Listening()
in_forked_child(_LISTENING.forget, hold_back=STOPPING)
