"""The clock that the times of attempts are of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """The loop's clock.

    The standard loop's is a method around this function, which costs twice as much; uvloop's is the same clock in
    whole milliseconds, which is too coarse for the histogram of latencies, and is right in the loop's own thread only.
    """
    kind = type(loop)
    real = kind.time is asyncio.BaseEventLoop.time or kind.__module__ == "uvloop"
    return time.monotonic if real else loop.time
