"""Separates a forked child from this process: it keeps none of the state, signals and messages of its parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import NoReturn


class _Mask(threading.local):
    """The signals that the forking thread had blocked before it forked."""

    before: AbstractSet[int] | None = None


def in_forked_child(forget: Callable[[], None], hold_back: Iterable[signal.Signals] = ()) -> None:
    """Call *forget* in each child of ``os.fork`` (also by ``multiprocessing``) before other code runs there.

    The signals of *hold_back* are blocked until then. Otherwise a child that gets one at once passes it to this process,
    through the file descriptor that both have.
    """
    if not hasattr(os, "register_at_fork"):  # Windows
        return
    mask, numbers = _Mask(), tuple(hold_back)

    def before() -> None:
        mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def after() -> None:
        if mask.before is not None:
            held, mask.before = mask.before, None
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def after_in_child() -> None:
        try:
            forget()
        finally:
            after()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=after_in_child)


def leave_forked_child(error: BaseException | None) -> NoReturn:
    """End a child that a handler has forked and that returns from the handler, with *error* or without.

    The child has a copy of the whole worker. It would go on with the messages of its parent, over the connections of its
    parent.
    """
    code: object = 0
    if isinstance(error, SystemExit):
        code = 0 if error.code is None else error.code
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    if not isinstance(code, int):
        sys.stderr.write(f"{code}\n")  # as Python does for sys.exit("text")
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)
