"""Runs the ``core`` command as a user does: a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CORE = str(Path(sys.executable).with_name("core"))
PATIENCE = 120.0  # seconds


def environment(**others: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "CORE_"))}
    return clean | {"PYTHONWARNINGS": "error::ResourceWarning", "COMMIT_INTERVAL": "0.1", **others}


def core(
    *arguments: str, folder: Path, env: Mapping[str, str] | None = None, command: str = CORE
) -> subprocess.CompletedProcess[str]:
    """Run ``core ...`` to its end. *command* is the one of another environment, if need be."""
    return subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Running:
    """A ``core`` process and what it has said so far (stdout and stderr together)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def until(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self._reader.join(PATIENCE)
                if condition():
                    return
                raise AssertionError(f"exit code {self.process.returncode}; it said:\n{self.output}")
            time.sleep(0.02)

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.output)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def end(self) -> None:
        """Kill the process if it has not ended, and close what it writes to once its last line was read."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE)
        # Where the reader goes on, a process that this one has started holds the other end.
        if self.process.stdout is not None and not self._reader.is_alive():
            self.process.stdout.close()


@contextmanager
def running_core(
    *arguments: str, folder: Path, env: Mapping[str, str] | None = None, command: str = CORE
) -> Iterator[Running]:
    """``core ...`` in the background; killed at the end if it has not ended by then."""
    process = subprocess.Popen(
        [command, *arguments],
        cwd=folder,
        env=environment(**(env or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Running(process)
    try:
        yield running
    finally:
        running.end()
