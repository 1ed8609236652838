"""How the process of the command line ends: at once, or within a limited time."""

from __future__ import annotations

import logging
import os
import sys
import threading

logger = logging.getLogger("core_messaging.worker")

FOR_GOOD = 78  # a process ends with it where starting it again will not help (EX_CONFIG of sysexits.h)
DRAINED = 79  # a process ends with it where a person has drained it, and it is not to be started again
GRACE = 3.0  # seconds that the process may take to end after all work has ended


def leave_at_once(code: int) -> None:
    """End this process now: no cleanup, no waiting for threads. For ``RunOptions.exit_now``."""
    try:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the terminal is closed
        pass
    finally:
        os._exit(code)


def limit_the_exit(code: int) -> None:
    """All of ours is over: what else keeps this process has ``GRACE`` seconds more, then it ends with *code*.

    Python waits for every thread that is no daemon, and a loop for its executor's. Not left at once: what registered
    with ``atexit`` (exporters that flush, coverage) shall run.
    """
    timer = threading.Timer(GRACE, _leave_behind_threads, (code,))
    timer.daemon = True
    timer.start()


def _leave_behind_threads(code: int) -> None:
    # This one is a daemon, and the main thread is what is held up.
    others = (
        each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()
    )
    names = [each.name for each in others]
    logger.warning(
        "leaving: all work has ended, and after %g s more the process is still held up by %s; make such threads "
        "daemons, or end them in teardown()",
        GRACE,
        f"threads {', '.join(names)}" if names else "a task or an exit handler",
        extra={"action": "threads left"},
    )
    leave_at_once(code)
