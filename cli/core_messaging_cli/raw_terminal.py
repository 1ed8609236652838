"""A terminal that sends each key at once, and does not print it."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def keys_at_once() -> Iterator[int]:
    """Provide the file descriptor to read keys from; the terminal is as before after the block. Ctrl-C stays a signal."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def read_keys(descriptor: int) -> str:
    """Return what the terminal has sent; empty at its end."""
    return os.read(descriptor, 4_096).decode(errors="ignore")
