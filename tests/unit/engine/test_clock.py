"""The clock of attempts is the event loop's, in fine steps and right in every thread."""

from __future__ import annotations

import asyncio
import time

import uvloop

from core_messaging.engine.clock import clock_of
from core_messaging.runtime.event_loop import punctual_loop
from core_messaging.testing.virtual_clock import VirtualLoop


def test_latencies_are_finer_than_the_whole_milliseconds_of_uvloop() -> None:
    # The histogram begins at half a millisecond; and on a virtual clock there is no other clock than its own.
    for loop in (make() for make in (asyncio.new_event_loop, punctual_loop, uvloop.new_event_loop)):
        assert clock_of(loop) is time.monotonic
        loop.close()
    virtual = VirtualLoop()
    assert clock_of(virtual) == virtual.time
    virtual.close()
