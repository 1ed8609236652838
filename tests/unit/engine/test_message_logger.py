"""What the log says of messages that fail: the traceback of each kind once, from the user's first frame on."""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from core_messaging import Reject, Worker, hookimpl
from core_messaging.errors import BrokenWorker
from core_messaging.runtime.logging import TextLines
from core_messaging.testing import Outcome, process_all


def frames(record: logging.LogRecord) -> list[str]:
    """The functions in the traceback of *record*, the innermost last."""
    assert record.exc_info
    summary = traceback.extract_tb(record.exc_info[2])
    assert all("core_messaging/" not in frame.filename for frame in summary)
    return [frame.name for frame in summary]


def fail(message: Any) -> None:
    raise ConnectionError(f"no answer to {message}")


async def process(self: Worker, message: Any) -> None:
    fail(message)


def process_in_thread(self: Worker, message: Any) -> None:
    fail(message)


async def process_batch(self: Worker, messages: list[Any]) -> None:
    fail(messages)


def work(count: int, plugins: tuple[Any, ...] = (), **attributes: Any) -> Outcome:
    """Let a worker that is made of *attributes* work off *count* messages."""
    given = {"input_topic": "in", "dlq_topic": "dlq", "max_retries": 2, **attributes}
    messages = [{"n": number} for number in range(count)]
    return asyncio.run(process_all(type("Mailer", (Worker,), given), messages, plugins=plugins))


def with_traceback(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.exc_info]


SHAPES: dict[str, dict[str, Any]] = {
    "process": {"process": process},
    "process_in_thread": {"process": process_in_thread},
    "process_batch": {"process_batch": process_batch, "batch_size": 4},
    "in a batch": {"process": process, "batch_size": 4},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_kind_of_failure_is_an_error_with_its_traceback_once_and_then_counted(
    shape: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "core_messaging")
    outcome = work(20, **SHAPES[shape])
    assert len(outcome.dead_letters) == 20
    retry, dead = with_traceback(caplog)
    assert [each.levelno for each in (retry, dead)] == [logging.ERROR, logging.ERROR]
    for each in (retry, dead):
        assert frames(each)[-1] == "fail"
        assert frames(each)[0].startswith("process")
    # Where it happened is in the record, for programs.
    assert (retry.action, retry.worker, retry.topic, retry.partition) == ("retry", "Mailer", "in", 0)  # type: ignore[attr-defined]
    assert dead.action == "dead-lettered"  # type: ignore[attr-defined]
    assert all(isinstance(each.offset, int) for each in (retry, dead))  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_traceback_of_the_only_attempt_is_in_the_line_of_the_dead_letter(
    shape: str, caplog: pytest.LogCaptureFixture
) -> None:
    work(8, **SHAPES[shape], max_retries=0)
    shown = {each.action: frames(each)[-1] for each in with_traceback(caplog)}  # type: ignore[attr-defined]
    assert shown == {"dead-lettered": "fail"} | ({"halved": "fail"} if shape == "process_batch" else {})


def test_two_places_that_raise_the_same_type_are_two_kinds(caplog: pytest.LogCaptureFixture) -> None:
    async def process(self: Worker, message: dict[str, int]) -> None:
        if message["n"] % 2:
            raise ValueError("odd")
        raise ValueError("even")

    work(10, process=process, max_retries=0)
    assert sorted(each.getMessage().rpartition(" ")[2] for each in with_traceback(caplog)) == ["even", "odd"]


def test_at_debug_each_attempt_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "core_messaging.worker")
    work(5, process=process)
    attempts = [each for each in with_traceback(caplog) if each.action in {"retry", "given up"}]  # type: ignore[attr-defined]
    assert len(attempts) == 5 * 3
    assert all(frames(each) == ["process", "fail"] for each in attempts)


def test_causes_and_groups_stay_and_frames_of_the_runners_go(caplog: pytest.LogCaptureFixture) -> None:
    async def process(self: Worker, message: Any) -> None:
        try:
            fail(message)
        except ConnectionError as error:
            raise ExceptionGroup("two", [ValueError("first"), RuntimeError("second")]) from error

    work(1, process=process, max_retries=0)
    (record,) = with_traceback(caplog)
    shown = TextLines().format(record)
    for text in ("ConnectionError: no answer", "direct cause", "ExceptionGroup: two", "ValueError: first"):
        assert text in shown
    assert "RuntimeError: second" in shown
    assert "core_messaging/" not in shown


def test_of_a_time_out_the_line_shows_where_the_handler_waited(caplog: pytest.LogCaptureFixture) -> None:
    async def waits_for_the_bank(self: Worker, message: Any) -> None:
        await asyncio.sleep(60)

    work(1, process=waits_for_the_bank, timeout=0.05, max_retries=0)
    (record,) = with_traceback(caplog)
    shown = TextLines().format(record)
    assert "in waits_for_the_bank" in shown
    assert "AttemptTimeout" in shown
    assert "core_messaging/" not in shown


@pytest.mark.parametrize("callback", ["on_success", "on_error", "on_undecodable"])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_callback_that_raises_is_shown_once_a_kind(
    callback: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def call(self: Worker, first: Any, second: Any) -> None:
        raise KeyError("callback")

    def plain(self: Worker, first: Any, second: Any) -> None:
        raise KeyError("callback")

    async def succeed(self: Worker, message: Any) -> None: ...

    async def number(self: Worker, message: int) -> None: ...

    handlers = {"on_success": succeed, "on_error": process, "on_undecodable": number}
    given: dict[str, Any] = {callback: call if is_async else plain, "process": handlers[callback]}
    work(5, max_retries=0, **given)
    (record,) = [each for each in with_traceback(caplog) if each.action == f"{callback} failed"]  # type: ignore[attr-defined]
    assert record.levelno == logging.ERROR
    assert frames(record) == ["call" if is_async else "plain"]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_hook_of_a_plugin_that_raises_is_shown_once_a_kind(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Plain:
        @hookimpl
        def on_retry(self, message: Any) -> None:
            fail(message)

    class Async:
        @hookimpl
        async def on_retry(self, message: Any) -> None:
            fail(message)

    work(3, process=process, plugins=(Async() if is_async else Plain(),))
    (record,) = [each for each in with_traceback(caplog) if each.action == "plugin failed"]  # type: ignore[attr-defined]
    assert frames(record) == ["on_retry", "fail"]


@pytest.mark.parametrize("method", ["setup", "teardown", "__init__"])
def test_code_of_the_worker_outside_of_messages_is_shown_with_its_traceback(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Worker) -> None:
        fail(method)

    async def succeed(self: Worker, message: Any) -> None: ...

    given: dict[str, Any] = {method: broken}
    with suppress(BrokenWorker):
        work(1, process=succeed, **given)
    (record,) = with_traceback(caplog)
    assert frames(record) == ["broken", "fail"]


def test_what_a_handler_rejects_on_purpose_needs_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def process(self: Worker, message: Any) -> None:
        raise Reject("no address")

    work(1, process=process)
    assert with_traceback(caplog) == []
    assert "no address" in caplog.text


def test_a_value_of_another_shape_needs_no_traceback_and_an_error_in_the_users_model_has_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Order(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def positive(cls, value: int) -> int:
            raise LookupError("no such order")

    async def number(self: Worker, message: int) -> None: ...

    async def order(self: Worker, message: Order) -> None: ...

    order.__annotations__["message"] = Order
    work(1, process=number)
    assert with_traceback(caplog) == []
    work(1, process=order)
    (record,) = with_traceback(caplog)
    assert "no such order" in TextLines().format(record)
    assert "in positive" in TextLines().format(record)


def test_a_worker_that_stops_for_a_message_shows_why(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Exception, match="on_exhausted"):
        work(1, process=process, dlq_topic=None, on_exhausted="stop", max_retries=0)
    (record,) = with_traceback(caplog)
    assert frames(record) == ["process", "fail"]
