"""Logging for the command line: lines for people, or JSON for machines."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import IO, Any, Literal, TextIO, get_args

from core_messaging.errors import text_of
from core_messaging.logs.secrecy import hidden
from core_messaging.logs.tracebacks import ExcInfo, Say, lines_of, trimmed
from core_messaging.text.printable import printable, printable_lines

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[str, ...] = get_args(LogFormat)

# What an event may carry in ``extra``, in the order in which it is printed.
FIELDS = ("place", "action", "worker", "topic", "partition", "offset", "plugin")

LONGEST_LINE = 10_000  # characters of one message in text
_COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31", logging.DEBUG: "2"}
# Whose messages are one line each. Those of other loggers may be several: they are the user's.
_ONE_LINE = ("core_messaging", "aiokafka", "asyncio")


def begin_to_log(log_format: LogFormat) -> None:
    """How warnings and errors are written to stderr before ``set_up_logging``, and where it is not called at all."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines(layout="bare"))
    logging.lastResort = handler
    if log_format == "json":
        _take_what_python_prints()


def _take_what_python_prints() -> None:
    """Warnings, and errors that nobody caught, are log lines too: a program reads stderr line by line."""
    warnings.showwarning = _log_warning
    sys.excepthook = lambda kind, error, trace: _log_uncaught("nobody caught it", (kind, error, trace))
    threading.excepthook = lambda given: _log_uncaught(
        f"thread {given.thread.name if given.thread else '?'} ended",
        (given.exc_type, given.exc_value or given.exc_type(), given.exc_traceback),
    )
    sys.unraisablehook = lambda given: _log_uncaught(
        f"{given.err_msg or 'ignored in'} {given.object!r}",
        (given.exc_type, given.exc_value or given.exc_type(), given.exc_traceback),
    )


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - as Python calls it
    line: str | None = None,  # noqa: ARG001 - as above
) -> None:
    logging.getLogger("py.warnings").warning("%s:%s: %s: %s", filename, lineno, category.__name__, message)


def _log_uncaught(what: str, raised: ExcInfo) -> None:
    logging.getLogger("core_messaging").error(
        "%s: %s: %s",
        what,
        raised[0].__name__,
        text_of(raised[1]),
        exc_info=raised,
        extra={"action": "uncaught"},
    )


def set_up_logging(
    level: str | None = None,
    log_format: LogFormat | None = None,
    process: int | None = None,
    client_level: str | None = None,
) -> None:
    """Log to stderr. A repeated call replaces what the first one added; what others have set up stays.

    *level*: ours and the project's, None: what the project has set, or info. *client_level*: of Kafka's client, None:
    warnings, without those that an outage brings. *process*: which of several this is; every line says so.
    *log_format* None: text, and nothing is added where the project logs to the terminal itself.
    """
    root = logging.getLogger()
    for mine in [each for each in root.handlers if isinstance(each, Lines)]:
        root.removeHandler(mine)
    theirs = bool(root.handlers)
    adding = log_format is not None or not any(map(_writes_to_terminal, root.handlers))
    if adding:
        handler = Lines(log_format or "text", process)
        handler.addFilter(ClientNoise(asked=client_level is not None))
        root.addHandler(handler)
    _set_level(level, keep=theirs and not adding)
    _set_client_level(client_level, keep=theirs)
    enable_our_loggers()
    logging.captureWarnings(capture=True)


def _set_level(level: str | None, *, keep: bool) -> None:
    """*keep*: the project has chosen how much is logged, unless the command line says otherwise."""
    if level is not None or not keep:
        logging.getLogger().setLevel((level or "info").upper())


def _set_client_level(level: str | None, *, keep: bool) -> None:
    """*keep*: a level that the project has given to the client's logger stays."""
    client = logging.getLogger("aiokafka")
    if level is not None or not keep or client.level == logging.NOTSET:
        # It writes each request and response down: at our level, nobody would find our lines among them.
        client.setLevel((level or "warning").upper())


def enable_our_loggers() -> None:
    """Let our loggers speak where ``logging.config`` has switched them off: it does so with all that it does not know."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "core_messaging" and isinstance(logger, logging.Logger):
            logger.disabled = False


def _writes_to_terminal(handler: logging.Handler) -> bool:
    """Whether it writes to our stdout or stderr, by a stream or a console of its own (as rich's does)."""
    console = getattr(handler, "console", None)
    stream = getattr(handler, "stream", None) or getattr(console, "file", None)
    return stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}


def tell_the_end(text: str) -> None:
    """Why a command ends, as its last line on stderr: an object where the log is one of objects."""
    if logging.lastResort is not None and isinstance(logging.lastResort.formatter, JsonLines):
        logging.getLogger("core_messaging").error("%s", text, extra={"action": "ended"})
    else:
        sys.stderr.write(printable(hidden(text), LONGEST_LINE) + "\n")


class Lines(logging.StreamHandler[Any]):
    """Ours, to stderr."""

    def __init__(self, log_format: LogFormat, process: int | None) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(
            JsonLines(process) if log_format == "json" else TextLines(process, _layout(sys.stderr))
        )


Layout = Literal["bare", "plain", "terminal"]


def _layout(stream: IO[str]) -> Layout:
    return "terminal" if stream.isatty() and not os.environ.get("NO_COLOR") else "plain"


class TextLines(logging.Formatter):
    """Time, level, logger and message.

    A message is one line, and a traceback is indented: nothing that an error or a message says looks like a line of
    the log.

    *layout*: "terminal" has the time without its day, and colours; "bare" has the message alone.
    """

    def __init__(self, process: int | None = None, layout: Layout = "plain") -> None:
        super().__init__(datefmt="%H:%M:%S" if layout == "terminal" else None)
        self._layout = layout
        self._place = "" if process is None else f"[{process}] "

    def format(self, record: logging.LogRecord) -> str:
        """Return one line for a record of ours; a record of another library may have several lines."""
        of_ours = record.name.partition(".")[0] in _ONE_LINE
        fit = printable if of_ours else printable_lines
        text = fit(hidden(_message(record)), LONGEST_LINE)
        return "\n".join([self._head(record) + text, *_indented(_traceback(record, printable))])

    def _head(self, record: logging.LogRecord) -> str:
        if self._layout == "bare":
            return ""
        level = f"{record.levelname:<7}"
        if self._layout == "terminal" and record.levelno in _COLOURS:
            level = f"\x1b[{_COLOURS[record.levelno]}m{level}\x1b[0m"
        return f"{self.formatTime(record, self.datefmt)} {level} {printable(record.name)}: {self._place}"


def _indented(text: str) -> list[str]:
    return [f"    {printable(line)}".rstrip() for line in text.split("\n")] if text else []


class JsonLines(logging.Formatter):
    """One object a line: time (seconds since the epoch), level, message, and where it happened."""

    def __init__(self, process: int | None = None) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if self._process is not None:
            line["place"] = self._process
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if trace := _traceback(record, str):
            line["traceback"] = trace
        return json.dumps({name: _fit_for_json(value) for name, value in line.items()})


def _fit_for_json(value: object) -> object:
    """JSON has no NaN and no half of a surrogate pair, although Python writes them."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    return hidden(str(value)).encode(errors="backslashreplace").decode()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        return f"{record.msg} (its arguments do not fit: {type(error).__name__})"


def _traceback(record: logging.LogRecord, say: Say) -> str:
    """Of the error that *record* is about, and the stack that it asks for."""
    parts = []
    if record.exc_info and record.exc_info[1] is not None:
        _, error, trace = record.exc_info
        parts.append(lines_of(error, trimmed(error, trace), say))
    if record.stack_info:
        parts.append(record.stack_info)
    return hidden("\n".join(parts))


# What the client calls a warning or an error and is how Kafka works: every rebalance, every first group.
ORDINARY = ("Heartbeat failed for group %s because it is rebalancing", "Group Coordinator Request failed: %s")

# How its lines begin that come again and again while a broker is away.
OUTAGE = (
    "Cannot send",
    "Could not send",
    "Error sending",
    "Failed fetch",
    "Failed to commit on",
    "FindCoordinator Request failed",
    "Heartbeat failed for group %s: coordinator",
    "Heartbeat send request failed",
    "Heartbeat session expired",
    "LeaveGroup request failed",
    "Marking the coordinator dead",
    "No broker metadata found",
    "OffsetCommit failed for group %s due to group",
    "Unable connect to",
    "Unable to request metadata",
    "Unable to update metadata",
)


class ClientNoise(logging.Filter):
    """Kafka's client calls an outage an ERROR with every reconnect. We say what it means, and when it is over.

    What the client logs is shown as a warning at most: of an outage its first line, of other kinds one line in ten
    seconds. *asked*: somebody has asked for its lines, and gets all of them.
    """

    INTERVAL = 10.0  # seconds between two lines of one kind
    QUIET = 60.0  # seconds without a line of an outage, after which the next one is of another outage

    def __init__(self, *, asked: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._asked = asked
        self._clock = clock
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; one of the client's is logged as a warning at most."""
        if self._asked or not record.name.startswith("aiokafka") or record.levelno < logging.WARNING:
            return True
        # By the text before its arguments: node ids and addresses change with every line.
        kind = str(record.msg)
        if kind in ORDINARY or not self._is_new(kind, self._clock()):
            return False
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True

    def _is_new(self, kind: str, now: float) -> bool:
        if kind.startswith(OUTAGE):
            before = self._last.get("outage", -self.QUIET)
            self._last["outage"] = now
            return now - before >= self.QUIET
        if now - self._last.get(kind, -self.INTERVAL) < self.INTERVAL:
            return False
        self._last[kind] = now
        return True
