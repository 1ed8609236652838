"""Lines of the log: for people at a terminal or in a file, and as JSON."""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core_messaging.logs.secrecy import HIDDEN, keep_secret
from core_messaging.runtime.logging import (
    ClientNoise,
    JsonLines,
    Lines,
    TextLines,
    begin_to_log,
    set_up_logging,
    tell_the_end,
)

FORGED = "boom\n2030-01-01 00:00:00,000 INFO    core_messaging.worker: all is well\x1b[2J\r\x00"


def record(
    message: str, *args: object, name: str = "core_messaging.worker", **extra: object
) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


def raise_it(text: str) -> None:
    raise ValueError(text)


def failing(text: str) -> logging.LogRecord:
    made = record("it failed: %s", text)
    try:
        raise_it(text)
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    return made


@contextmanager
def new_root() -> Iterator[logging.Logger]:
    """The root logger as a new process has it."""
    root = logging.getLogger()
    handlers, level, last = root.handlers[:], root.level, logging.lastResort
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.lastResort = last
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)
        logging.captureWarnings(capture=False)


def test_a_line_of_text_has_time_level_once_logger_and_message() -> None:
    line = TextLines().format(record("%s ends", "Mailer"))
    assert line.endswith(" WARNING core_messaging.worker: Mailer ends")
    assert line.count("WARNING") == 1


def test_no_error_text_can_forge_a_line_or_move_the_cursor() -> None:
    first, *others = TextLines().format(failing(FORGED)).split("\n")
    assert r"it failed: boom\n2030-01-01" in first
    assert others[0] == "    Traceback (most recent call last):"
    assert others[-1].startswith(r"    ValueError: boom\n2030-01-01")
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert first.isprintable()


def test_lines_of_the_project_may_be_several_and_none_of_them_can_be_taken_for_another_record() -> None:
    first, *others = TextLines().format(record(f"Email failed: {FORGED}", name="shop.mail")).split("\n")
    assert first.endswith("shop.mail: Email failed: boom")
    assert all(line.startswith("  | ") and line.isprintable() for line in others)


def test_an_error_of_three_megabytes_is_a_short_record_in_either_format() -> None:
    made = failing("x" * 3_000_000)
    assert len(TextLines().format(made)) < 20_000
    assert "more characters)" in TextLines().format(made)
    assert len(json.loads(JsonLines().format(made))["traceback"]) < 5_000


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800", object(), "1\x1b[2J\n"])
def test_json_is_valid_and_one_line_whatever_is_in_it(value: object) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    line = JsonLines().format(record("%s", value, topic=value, offset=7))
    found = json.loads(line, parse_constant=refuse)
    assert "\n" not in line
    assert found["offset"] == 7
    found["message"].encode()  # no half of a surrogate pair


def test_json_keeps_what_a_text_says() -> None:
    assert json.loads(JsonLines().format(record("%s", FORGED)))["message"] == FORGED


def test_arguments_that_do_not_fit_are_a_line_of_the_same_format() -> None:
    found = json.loads(JsonLines().format(record("%d messages", "seven")))
    assert found["message"].startswith("%d messages (its arguments do not fit")


def test_what_the_project_has_set_up_stays() -> None:
    with new_root() as root:
        theirs = logging.StreamHandler(io.StringIO())
        root.addHandler(theirs)
        set_up_logging()
        set_up_logging("debug", "json", 3)
        assert root.handlers[0] is theirs
        (ours,) = [each for each in root.handlers if isinstance(each, Lines)]
        assert isinstance(ours.formatter, JsonLines)
        assert root.level == logging.DEBUG


def test_a_project_that_logs_to_the_terminal_gets_no_second_line_and_keeps_its_level() -> None:
    with new_root() as root:
        logging.basicConfig(level=logging.ERROR, format="%(message)s")
        (theirs,) = root.handlers
        set_up_logging()
        assert root.handlers == [theirs]
        assert root.level == logging.ERROR
        set_up_logging("debug")
        assert root.handlers == [theirs]
        assert root.level == logging.DEBUG


def test_our_loggers_speak_although_the_project_has_configured_logging_without_them() -> None:
    with new_root():
        logger = logging.getLogger("core_messaging.worker")
        logger.disabled = True  # as logging.config.dictConfig leaves it
        set_up_logging()
        assert not logger.disabled


def test_our_debug_level_is_not_the_clients() -> None:
    with new_root():
        set_up_logging("debug")
        assert logging.getLogger("core_messaging.worker").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("aiokafka.conn").isEnabledFor(logging.INFO)
        set_up_logging("info", client_level="debug")
        assert logging.getLogger("aiokafka.conn").isEnabledFor(logging.DEBUG)


def test_a_level_that_the_project_has_given_to_the_client_stays() -> None:
    with new_root() as root:
        root.addHandler(logging.StreamHandler(io.StringIO()))
        logging.getLogger("aiokafka").setLevel(logging.INFO)
        set_up_logging()
        assert logging.getLogger("aiokafka").level == logging.INFO
        set_up_logging(client_level="error")
        assert logging.getLogger("aiokafka").level == logging.ERROR


def test_of_an_outage_the_client_has_one_line() -> None:
    now = 1000.0
    noise, shown = ClientNoise(clock=lambda: now), 0
    for _ in range(100):
        now += 5
        for kind in ("Unable connect to node with id %s: %s", "Unable to update metadata from %s"):
            shown += noise.filter(record(kind, 1, 2, name="aiokafka.client"))
    assert shown == 1
    now += ClientNoise.QUIET
    assert noise.filter(record("Unable to update metadata from %s", 1, name="aiokafka"))
    assert ClientNoise(asked=True).filter(
        record("Heartbeat send request failed: %s. Will retry.", 1, name="aiokafka")
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_secret_is_hidden_wherever_it_stands(log_format: str) -> None:
    keep_secret("mellon-of-moria")
    formatter = JsonLines() if log_format == "json" else TextLines()
    made = failing("connecting with mellon-of-moria")
    made.worker = "mellon-of-moria"
    line = formatter.format(made)
    assert "moria" not in line
    assert line.count(HIDDEN) >= 2


def test_the_end_is_told_in_the_format_that_was_asked_for_before_logging_is_set_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with new_root():
        begin_to_log("json")
        tell_the_end("core: the settings are\nwrong")
        found = json.loads(capsys.readouterr().err)
        assert (found["level"], found["action"]) == ("error", "ended")
        assert found["message"] == "core: the settings are\nwrong"
        begin_to_log("text")
        tell_the_end("core: the settings are\nwrong")
        assert capsys.readouterr().err == "core: the settings are\\nwrong\n"
