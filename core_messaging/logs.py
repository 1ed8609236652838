"""Logging for the command line: lines for people, or JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Literal, get_args

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[str, ...] = get_args(LogFormat)

# What an event may carry in ``extra``, in the order in which it is printed.
FIELDS = ("place", "action", "worker", "topic", "partition", "offset", "plugin")


def set_up_logging(level: str, log_format: LogFormat, process: int | None = None) -> None:
    """Log everything from *level* up to stderr. A repeated call replaces the first.

    *process*: which of several this is; every line says so.
    """
    handler = _handler(log_format)
    handler.addFilter(ClientNoise())
    if process is not None:
        handler.addFilter(OfProcess(process, log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # One line a fetch, a join, a heartbeat: ours say what of it matters.
    logging.getLogger("aiokafka").setLevel(logging.WARNING if level != "debug" else logging.DEBUG)
    logging.captureWarnings(capture=True)


def tell_the_end(text: str) -> None:
    """Why a command ends, as its last line on stderr: an object where the log is one of objects."""
    if any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers):
        logging.getLogger("core_messaging").error(text, extra={"action": "ended"})
    else:
        sys.stderr.write(text + "\n")


def _handler(log_format: LogFormat) -> logging.Handler:
    if log_format == "json":
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        return handler
    if sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415 - only where a person looks
        from rich.logging import RichHandler  # noqa: PLC0415

        return RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    return handler


# What the client calls a warning or an error and is how Kafka works: every rebalance, every first group.
ORDINARY = ("Heartbeat failed for group %s because it is rebalancing", "Group Coordinator Request failed: %s")


class ClientNoise(logging.Filter):
    """Kafka's client calls an outage an ERROR with every reconnect. We say it once, and when it is over.

    What it logs is shown as a warning at most, and no line of it more than once in ten seconds.
    """

    INTERVAL = 10.0  # seconds

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka") or record.levelno < logging.WARNING:
            return True
        now = time.monotonic()
        if record.msg in ORDINARY:
            return logging.getLogger("aiokafka").isEnabledFor(logging.DEBUG)
        # By the text before its arguments: node ids and addresses change with every line.
        kind = str(record.msg)
        if now - self._last.get(kind, -self.INTERVAL) < self.INTERVAL:
            return False
        self._last[kind] = now
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


class OfProcess(logging.Filter):
    """Says in every line which of several processes writes it: to one terminal, they all write at once."""

    def __init__(self, process: int, log_format: LogFormat) -> None:
        super().__init__()
        self._process, self._in_text = process, log_format == "text"

    def filter(self, record: logging.LogRecord) -> bool:
        if self._in_text:
            record.msg = f"[{self._process}] {record.msg}"
        record.place = self._process
        return True


class JsonLines(logging.Formatter):
    """One object a line: time (seconds since the epoch), level, message, and where it happened."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
