"""The input of ``core kafka publish``: one message for each line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from core_messaging.errors import ConfigurationError
from core_messaging.publishing.outgoing import Key


@dataclass(frozen=True, slots=True)
class Line:
    """One message to publish; ``number`` counts from 1; ``size`` is its length in the input, in bytes."""

    value: bytes
    key: Key
    number: int
    size: int


class Given(NamedTuple):
    """One line of the input. ``number`` counts from 1; ``size`` is its length in the input, in bytes."""

    number: int
    value: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Input:
    """Where the messages come from. ``size``: bytes, None if unknown. ``is_typed``: a person types at a terminal."""

    entries: Iterable[Given]
    name: str
    size: int | None
    is_typed: bool = False


class Reader:
    """Checks the input. It calls *bad* for a line that is not JSON, or if *key_of* raises ValueError."""

    def __init__(
        self, key_of: Callable[[Any], Key], bad: Callable[[int, Exception], None], *, raw: bool
    ) -> None:
        self._key_of = key_of
        self._bad = bad
        self._raw = raw

    def lines(self, entries: Iterable[Given]) -> Iterator[Line]:
        """Yield the lines that can be published. Reads line by line: files may be large, and pipes endless."""
        for number, value, size in entries:
            try:
                message = None if self._raw else msgspec.json.decode(value)
                key = self._key_of(message)
            except RecursionError:
                self._bad(number, msgspec.DecodeError("JSON is nested too deeply"))
            except ValueError as error:
                self._bad(number, error)
            else:
                # The bytes are not encoded again: the consumer gets what the author wrote.
                yield Line(value, key, number, size)


@contextmanager
def opened(messages: Sequence[str], file: Path | None) -> Iterator[Input]:
    """Open the input: *messages*, or the lines of *file*, or those of standard input."""
    if messages:
        typed = [_typed(number, message) for number, message in enumerate(messages, start=1)]
        yield Input(typed, "--message", sum(each.size for each in typed))
    elif file is not None and file != Path("-"):
        with file.open("rb") as stream:
            yield Input(_lines_of(stream), str(file), file.stat().st_size)
    else:
        # Not sys.stdin: the interpreter closes it when it ends, and would wait for the thread that reads from it.
        yield Input(_lines_of(_standard_input()), "standard input", None, is_typed=os.isatty(0))


def _standard_input() -> BinaryIO:
    """Open standard input. Raises ConfigurationError if it is closed."""
    try:
        return os.fdopen(0, "rb", closefd=False)
    except OSError as error:
        raise ConfigurationError("standard input is closed; give --message or --file") from error


def _typed(number: int, message: str) -> Given:
    data = os.fsencode(message)  # the bytes that were typed, in any encoding
    return Given(number, data, len(data))


def _lines_of(stream: BinaryIO) -> Iterator[Given]:
    """Yield the lines that are not empty."""
    for number, data in enumerate(stream, start=1):
        text = data.rstrip(b"\r\n")
        if text.strip():
            yield Given(number, text, len(data))
