"""What the loop of a message measures with, and what it makes of an error that is none of the worker's."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from core_messaging.engine.message_loop import as_failure, as_undecodable, clock_of
from core_messaging.errors import HandlerExit, Undecodable
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


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
)
def test_an_error_that_ends_processes_is_a_failed_attempt_with_its_cause(error: BaseException) -> None:
    failure = as_failure(error)
    assert isinstance(failure, HandlerExit)
    assert failure.__cause__ is error


def test_a_group_of_one_error_stands_for_that_error() -> None:
    # Policies choose by type: a task group around the handler's call hid the type, and retry_on matched nothing.
    error = ValueError("boom")
    assert as_failure(ExceptionGroup("unhandled errors in a TaskGroup", [error])) is error
    several = ExceptionGroup("two", [error, KeyError()])
    assert as_failure(several) is several


def test_any_error_of_a_decoder_makes_the_message_undecodable_and_is_named() -> None:
    error = RecursionError("too deep")
    found = as_undecodable(error)
    assert isinstance(found, Undecodable)
    assert "RecursionError: too deep" in str(found)
    assert found.__cause__ is error
    assert as_undecodable(found) is found
