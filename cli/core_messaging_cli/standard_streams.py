"""Standard output and standard error that are closed, full, or read by nobody any more."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

STDOUT, STDERR = 1, 2


def prepare() -> None:
    """Have both streams, and let no write to standard error fail: there is nowhere to tell it."""
    # A closed one would be the next file or socket that is opened, and get what is meant for people.
    for number in (STDOUT, STDERR):
        if not _is_open(number):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, number)
            if nothing not in (STDOUT, STDERR):
                os.close(nothing)
    sys.stdout = _stream(_Watched(STDOUT, "w", closefd=False))
    sys.stderr = _stream(_Forgiving(STDERR, "w", closefd=False))


def forgive_output() -> None:
    """Let no write to standard output fail either: a handler's ``print`` must not be the end of a message.

    From here on each line is written at once: what a handler prints stands beside the log, also in a file.
    """
    sys.stdout.flush()
    sys.stdout = _stream(_Forgiving(STDOUT, "w", closefd=False), line_by_line=True)


def why_output_is_lost() -> OSError | None:
    """What a write to standard output has raised."""
    return _Watched.error


def drop_output() -> None:
    """Let what is left of standard output go nowhere. Python would complain once more while it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class _Watched(io.FileIO):
    """Keeps what a write raises: whoever catches it cannot tell whose it is."""

    error: OSError | None = None  # of this process, as the stream is

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            _Watched.error = error
            raise


class _Forgiving(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:  # full, or nobody reads it
            return len(memoryview(data))


def _stream(raw: io.FileIO, *, line_by_line: bool = False) -> TextIO:
    """As Python makes its own: a line at a time for people and errors, more at a time for pipes and files."""
    at_once = line_by_line or bool(os.environ.get("PYTHONUNBUFFERED"))
    own = sys.__stdout__ if raw.fileno() == STDOUT else sys.__stderr__
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(own, "encoding", None) or "utf-8",
        errors=getattr(own, "errors", None) or "backslashreplace",
        line_buffering=at_once or raw.fileno() == STDERR or raw.isatty(),
    )
