"""Messages to publish, one a line: where they come from and what they are."""

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
    """What stands at place ``number`` of the input, from 1; ``size`` is its length there, in bytes."""

    number: int
    value: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Input:
    """Where the messages come from; ``size`` in bytes, None where nobody knows. ``is_typed``: at a terminal."""

    entries: Iterable[Given]
    name: str
    size: int | None
    is_typed: bool = False


class Reader:
    """Checks what is given. What *key_of* raises as ValueError is told to *bad*, like a line that is not JSON."""

    def __init__(
        self, key_of: Callable[[Any], Key], bad: Callable[[int, Exception], None], *, raw: bool
    ) -> None:
        self._key_of = key_of
        self._bad = bad
        self._raw = raw

    def lines(self, entries: Iterable[Given]) -> Iterator[Line]:
        """Those that can be published. Reads as it goes: files may be large, and pipes endless."""
        for number, value, size in entries:
            try:
                message = None if self._raw else msgspec.json.decode(value)
                key = self._key_of(message)
            except RecursionError:
                self._bad(number, msgspec.DecodeError("JSON is nested too deeply"))
            except ValueError as error:
                self._bad(number, error)
            else:
                # The bytes as they are written, not written anew: the consumer gets what the author wrote.
                yield Line(value, key, number, size)


@contextmanager
def opened(messages: Sequence[str], file: Path | None) -> Iterator[Input]:
    """*messages*, else the lines of *file*, else those of standard input."""
    if messages:
        typed = [_typed(number, message) for number, message in enumerate(messages, start=1)]
        yield Input(typed, "--message", sum(each.size for each in typed))
    elif file is not None and file != Path("-"):
        with file.open("rb") as stream:
            yield Input(_lines_of(stream), str(file), file.stat().st_size)
    else:
        # An object of our own: the interpreter closes sys.stdin at its end, and would wait for whoever reads from it.
        yield Input(_lines_of(_standard_input()), "standard input", None, is_typed=os.isatty(0))


def _standard_input() -> BinaryIO:
    """Raises ConfigurationError where it is closed."""
    try:
        return os.fdopen(0, "rb", closefd=False)
    except OSError as error:
        raise ConfigurationError("standard input is closed; give --message or --file") from error


def _typed(number: int, message: str) -> Given:
    data = os.fsencode(message)  # as it was typed, whatever its encoding
    return Given(number, data, len(data))


def _lines_of(stream: BinaryIO) -> Iterator[Given]:
    """Lines that are not empty."""
    for number, data in enumerate(stream, start=1):
        text = data.rstrip(b"\r\n")
        if text.strip():
            yield Given(number, text, len(data))
