"""Who runs this command, for the log of the processes that obey it."""

from __future__ import annotations

import getpass
import socket


def who_asks() -> str:
    """Return ``user@host``."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
