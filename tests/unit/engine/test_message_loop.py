"""What the loop of a message makes of an error that is none of the worker's."""

from __future__ import annotations

import asyncio

import pytest

from core_messaging.engine.message_loop import as_failure, as_undecodable
from core_messaging.errors import HandlerExit, Undecodable


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
