"""SIGUSR1: this process writes to standard error what it does at this moment, and goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STDERR = 2
DUMP: signal.Signals | None = getattr(signal, "SIGUSR1", None)  # Windows has none


@contextmanager
def dumps_on_signal(dump: Callable[[], str]) -> Iterator[None]:
    """Write *dump* at each SIGUSR1 inside the block.

    The signal is left alone where the program handles it itself, and outside of the main thread. The handler runs also while
    a message blocks the event loop: this is when people ask.
    """
    if DUMP is None or not _is_free(DUMP):
        yield
        return

    def handle(_number: int, _frame: Any) -> None:
        _write(dump())

    before = signal.signal(DUMP, handle)
    try:
        yield
    finally:
        if signal.getsignal(DUMP) is handle:
            signal.signal(DUMP, before)


def _is_free(number: signal.Signals) -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(number) == signal.SIG_DFL


def _write(text: str) -> None:
    """Not by ``sys.stderr``: the signal may have interrupted a write to it, and a second one inside it is an error."""
    left = f"{text}\n".encode(errors="backslashreplace")
    with contextlib.suppress(OSError):
        while left:
            left = left[os.write(STDERR, left) :]
