"""``core kafka top`` on a real terminal, with a real worker on Apache Kafka."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import CORE, PATIENCE, environment
from tests.integration.fleets import Project, stop

pytestmark = pytest.mark.timeout(300)
# Makes standard input the terminal of the process, so that Ctrl-C in it is a signal.
ATTACHED = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)[0-7](?:;\d+)*m")


class Screen:
    """A terminal that ``core kafka top`` draws on."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self._master = process, master
        self.sent = ""

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until_shown(self, text: str) -> None:
        """Until *text* is drawn after this call."""
        begin, deadline = len(self.sent), time.monotonic() + PATIENCE
        while text not in self.sent[begin:]:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.sent[-4_000:]!r}"
            self._read()

    def _read(self) -> None:
        if select.select([self._master], [], [], 0.2)[0]:
            self.sent += os.read(self._master, 65_536).decode(errors="replace")

    def wait(self) -> int:
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while self.process.poll() is None or select.select([self._master], [], [], 0)[0]:
                self._read()
        return self.process.wait(PATIENCE)


@contextmanager
def top(project: Project) -> Iterator[Screen]:
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    variables = {
        **environment(**project.env),
        "NO_COLOR": "1",
        "TERM": "xterm-256color",
        "PYTHONIOENCODING": "utf-8",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", ATTACHED, CORE, "kafka", "top", "--interval", "0.2"],
        cwd=project.folder,
        env={name: value for name, value in variables.items() if name not in ("COLUMNS", "LINES")},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        yield Screen(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)


@pytest.fixture
def project(apache_broker: RunningBroker, tmp_path: Path) -> Project:
    return Project(apache_broker, tmp_path)


def test_a_person_watches_pauses_resumes_filters_and_leaves(project: Project) -> None:
    with project.worker() as running:
        running.until_said("greet has ")
        with top(project) as screen:
            screen.until_shown("> greet")
            screen.until_shown("running")
            screen.press("p")
            screen.until_shown(f"paused: group {project.topic}; 1 of 1 process obeyed")
            running.until_said(f"group {project.topic} is paused by ")
            screen.press("r")
            screen.until_shown(f"resumed: group {project.topic}; 1 of 1 process obeyed")
            screen.press("/nobody")
            screen.until_shown("nothing has this in its name")
            screen.press("\x1b")
            screen.until_shown("> greet")
            screen.press("d")
            screen.until_shown("has no dlq_topic")
            screen.resize(160)
            screen.until_shown("fail/s")
            screen.press("\x03")
            assert screen.wait() == 130
        stop(running)
    assert "Traceback" not in screen.sent
    restored = ("\x1b[?25h", "\x1b[?1049l")  # the cursor is back, and the screen of before
    assert all(each in screen.sent[-100:] for each in restored)
    assert COLOUR.search(screen.sent) is None


def test_without_a_terminal_it_is_one_line(project: Project) -> None:
    code, said, wrong = project.core("top")
    assert (code, said) == (1, "")
    assert "draws on a terminal, and this is none" in wrong
