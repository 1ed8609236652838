"""Reads a slow source in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Reads *source* in a thread of its own, up to *most* items ahead.

    The thread is a daemon, because it may wait for a pipe that is never closed.
    """

    def __init__(self, source: Iterator[Item], most: int) -> None:
        self.over = False  # the source has ended, and all its items are taken
        self._queue: queue.Queue[Item | _End] = queue.Queue(most)
        threading.Thread(target=self._read, args=(source,), name="core-read-ahead", daemon=True).start()

    def _read(self, source: Iterator[Item]) -> None:
        try:
            for item in source:
                self._queue.put(item)
        except Exception as error:
            self._queue.put(_End(error))
        else:
            self._queue.put(_End(None))

    def take(self, most: int, seconds: float) -> list[Item]:
        """Return up to *most* items that come within *seconds*. Raises what *source* raised."""
        taken: list[Item] = []
        deadline = monotonic() + seconds
        while len(taken) < most:
            try:
                item = self._queue.get(timeout=max(0.0, deadline - monotonic()))
            except queue.Empty:
                break
            if isinstance(item, _End):
                self.over = True
                if item.error is not None:
                    raise item.error
                break
            taken.append(item)
        return taken


class _End:
    """Stands in the queue after the last item."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
