"""The event loop that ``core kafka worker`` runs on."""

from __future__ import annotations

import asyncio
import importlib.util
import select
import selectors
import sys

SHORT = 0.05  # seconds; of a longer wait, a millisecond is not much

_SELECTABLE = 1024  # FD_SETSIZE of Linux: ``select`` takes file descriptors below it only


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's where it is installed (``pip install 'core-messaging[speed]'``), else a punctual one."""
    if importlib.util.find_spec("uvloop") is None:
        return punctual_loop()
    import uvloop  # noqa: PLC0415 - an extra

    return uvloop.new_event_loop()


if sys.platform == "linux":

    class PunctualSelector(selectors.EpollSelector):
        """Short waits end when they are over.

        ``epoll`` waits in whole milliseconds, rounded up: of a handler that waits for 2.5 ms it makes one of 3 to
        3.5, and of a hundred of them a fifth less throughput. ``select`` waits in microseconds, and an epoll is a
        file descriptor like any other (epoll(7)).
        """

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Wait for *timeout* seconds; a short wait is not rounded up to whole milliseconds."""
            if timeout is not None and 0 < timeout < SHORT:
                select.select((self.fileno(),), (), (), timeout)
                timeout = 0
            return super().select(timeout)

    def punctual_loop() -> asyncio.AbstractEventLoop:
        """Return asyncio's event loop, whose short waits are not rounded up to whole milliseconds."""
        selector = PunctualSelector()
        if selector.fileno() < _SELECTABLE:
            return asyncio.SelectorEventLoop(selector)
        selector.close()
        return asyncio.new_event_loop()

else:

    def punctual_loop() -> asyncio.AbstractEventLoop:
        """Return asyncio's event loop; kqueue is punctual by itself."""
        return asyncio.new_event_loop()
