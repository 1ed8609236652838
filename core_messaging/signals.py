"""SIGINT and SIGTERM, caught or passed on by a supervisor: the first asks, the second leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)

Told = Callable[[signal.Signals], None]


@contextmanager
def on_signals(first: Told, second: Told, orders: int | None = None) -> Iterator[None]:
    """Call *first* at the first SIGINT or SIGTERM and *second* at each one after it; restore on exit.

    *orders*: the pipe from a supervisor, see ``Received``. What handled the signals before does so afterwards, with one
    exception: uvloop does not tell what was added to it by ``add_signal_handler``, so that has to be added again.
    """
    loop = asyncio.get_running_loop()
    received = Received(first, second)
    before = [(number, signal.getsignal(number), _of_loop(loop, number)) for number in STOPPING]
    for number in STOPPING:
        loop.add_signal_handler(number, received.caught, number)
    if orders is not None:
        loop.add_reader(orders, received.read, loop, orders)
    try:
        yield
    finally:
        if orders is not None:
            loop.remove_reader(orders)
        for number, handler, of_loop in before:
            _restore(loop, number, handler, of_loop)


def _of_loop(loop: asyncio.AbstractEventLoop, number: signal.Signals) -> Any:
    handlers: dict[int, Any] = getattr(loop, "_signal_handlers", {})
    return handlers.get(number)


def _restore(loop: asyncio.AbstractEventLoop, number: signal.Signals, handler: Any, of_loop: Any) -> None:
    if of_loop is not None:
        # The loop goes on listening for it; only whom it calls is put back, with the context it had.
        loop._signal_handlers[number] = of_loop  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        return
    loop.remove_signal_handler(number)
    if handler is not None:  # None: set by C code, and out of Python's reach
        signal.signal(number, handler)


class Received:
    """Tells a second signal from the first one heard twice.

    A supervisor passes a signal on as one byte, its number. Beside that a service manager may send the same signal to
    all processes of the service itself (systemd does), before the byte or after it. So the two ways are counted each on its
    own: "at once" is what one of them says twice. The end of the pipe means that the supervisor is gone, and is no
    more than a first signal.
    """

    def __init__(self, first: Told, second: Told) -> None:
        self._first, self._second = first, second
        self._asked = self._caught = self._passed_on = False

    def caught(self, number: signal.Signals) -> None:
        again, self._caught = self._caught, True
        self._tell(number, again=again)

    def read(self, loop: asyncio.AbstractEventLoop, orders: int) -> None:
        """What the supervisor says."""
        numbers = os.read(orders, 16)
        if not numbers:
            loop.remove_reader(orders)
            self._tell(signal.SIGTERM, again=False)
        for number in numbers:
            again, self._passed_on = self._passed_on, True
            self._tell(signal.Signals(number), again=again)

    def _tell(self, number: signal.Signals, *, again: bool) -> None:
        if again:
            self._second(number)
        elif not self._asked:
            self._asked = True
            self._first(number)
