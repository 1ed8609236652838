"""Runs the ``core`` command on a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path


def on_a_terminal(
    words: Sequence[str], folder: Path, columns: int, env: Mapping[str, str] | None = None
) -> list[str]:
    """What ``core ...`` shows on a real terminal of so many *columns*; *env* is added to the environment."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | dict(
        env or {}
    )
    with subprocess.Popen(
        [sys.executable, "-m", "core_messaging", *words],
        cwd=folder,
        env=env,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while data := os.read(master, 65_536):
                shown += data
        except OSError:  # how Linux says that the other end is closed
            process.wait()
    os.close(master)
    return shown.decode().replace("\r\n", "\n").splitlines()
