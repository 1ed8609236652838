"""Standard output and standard error, also when they are closed, full, or no longer read."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

STDOUT, STDERR = 1, 2


def prepare() -> None:
    """Open both streams, and let no write to standard error fail: there is no other place for the error."""
    # The number of a closed stream goes to the next file or socket that is opened, which would get the output.
    for number in (STDOUT, STDERR):
        if not _is_open(number):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, number)
            if nothing not in (STDOUT, STDERR):
                os.close(nothing)
    sys.stdout = _stream(_Watched(STDOUT, "w", closefd=False))
    sys.stderr = _stream(_Forgiving(STDERR, "w", closefd=False))


def forgive_output() -> None:
    """Let no write to standard output fail either: a ``print`` in a handler must not fail its message.

    From here on each line is written at once, so the output of a handler is in order with the log, also in a file.
    """
    sys.stdout.flush()
    sys.stdout = _stream(_Forgiving(STDOUT, "w", closefd=False), line_by_line=True)


def why_output_is_lost() -> OSError | None:
    """Return the error of a write to standard output; None if there was none."""
    return _Watched.error


def drop_output() -> None:
    """Drop what is left of standard output. Otherwise Python fails once more when it closes the stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class _Watched(io.FileIO):
    """Keeps the error of a write: an OSError does not say which stream failed."""

    error: OSError | None = None  # one for the process, as is the stream

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
        except OSError:  # the stream is full, or no longer read
            return len(memoryview(data))


def _stream(raw: io.FileIO, *, line_by_line: bool = False) -> TextIO:
    """Make a stream as Python does: line by line for terminals and errors, in blocks for pipes and files."""
    at_once = line_by_line or bool(os.environ.get("PYTHONUNBUFFERED"))
    own = sys.__stdout__ if raw.fileno() == STDOUT else sys.__stderr__
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(own, "encoding", None) or "utf-8",
        errors=getattr(own, "errors", None) or "backslashreplace",
        line_buffering=at_once or raw.fileno() == STDERR or raw.isatty(),
    )
