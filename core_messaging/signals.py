"""SIGINT and SIGTERM: the first asks, the second leaves at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_signals(
    first: Callable[[signal.Signals], None], second: Callable[[signal.Signals], None]
) -> Iterator[None]:
    """Call *first* at the first SIGINT or SIGTERM and *second* at each one after it; restore on exit."""
    loop = asyncio.get_running_loop()
    seen = False

    def received(number: signal.Signals) -> None:
        nonlocal seen
        callback = second if seen else first
        seen = True
        callback(number)

    for number in STOPPING:
        loop.add_signal_handler(number, received, number)
    try:
        yield
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)
