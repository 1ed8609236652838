"""Messages to publish, one a line: where they come from and what they are."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from core_messaging.producer import Key


@dataclass(frozen=True, slots=True)
class Line:
    """One message to publish; ``number`` counts from 1; ``size`` is its length in the input, in bytes."""

    value: bytes
    key: Key
    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Input:
    """Where the lines come from; ``size`` in bytes, None where nobody knows."""

    stream: BinaryIO
    name: str
    size: int | None


class Reader:
    """Lines of input as messages. What *key_of* raises as ValueError is told to *bad*, like a line that is not JSON."""

    def __init__(
        self, key_of: Callable[[Any], Key], bad: Callable[[int, Exception], None], *, raw: bool
    ) -> None:
        self._key_of = key_of
        self._bad = bad
        self._raw = raw

    def lines(self, stream: BinaryIO) -> Iterator[Line]:
        """One a line that can be published. Reads as it goes: files may be large, and pipes endless."""
        for number, data in enumerate(stream, start=1):
            text = data.rstrip(b"\r\n")
            if not text.strip():
                continue
            try:
                message = None if self._raw else msgspec.json.decode(text)
                key = self._key_of(message)
            except ValueError as error:
                self._bad(number, error)
            else:
                # The bytes as they are written, not written anew: the consumer gets what the author wrote.
                yield Line(text, key, number, len(data))


@contextmanager
def opened(message: str | None, file: Path | None) -> Iterator[Input]:
    """*message*, else the lines of *file*, else those of standard input."""
    if message is not None:
        data = os.fsencode(message).replace(b"\n", b" ")  # as it was typed, whatever its encoding
        yield Input(io.BytesIO(data), "--message", len(data))
    elif file is not None:
        with file.open("rb") as stream:
            yield Input(stream, str(file), file.stat().st_size)
    else:
        # An object of our own: the interpreter closes sys.stdin at its end, and would wait for whoever reads from it.
        yield Input(os.fdopen(0, "rb", closefd=False), "standard input", None)
