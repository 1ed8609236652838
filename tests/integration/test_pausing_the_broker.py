"""A broker process that is stopped (SIGSTOP, Ctrl-Z) and goes on later."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.integration.commands import CORE, PATIENCE, environment


@contextmanager
def _embedded(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``core kafka up`` and its address."""
    command = [CORE, "kafka", "up", "--port", "0", "--engine", "embedded"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as up:
        try:
            assert up.stdout is not None
            export = next(line for line in up.stdout if "export KAFKA_BOOTSTRAP_SERVERS=" in line)
            yield up, export.strip().partition("=")[2]
        finally:
            os.kill(up.pid, signal.SIGCONT)
            up.terminate()
            up.wait(PATIENCE)  # a signal that reached another thread than the main one was never seen


def until_it_is_read(pipe: IO[str]) -> None:
    """Wait until the reader of *pipe* has taken everything out of it."""
    deadline = time.monotonic() + PATIENCE
    unread = array.array("i", [1])
    while unread[0]:
        assert time.monotonic() < deadline, "nobody reads it"
        time.sleep(0.02)
        fcntl.ioctl(pipe.fileno(), termios.FIONREAD, unread)


@pytest.mark.parametrize("ctrl_cs", [1, 2])
def test_ctrl_c_while_the_broker_is_silent_says_what_is_unknown(tmp_path: Path, ctrl_cs: int) -> None:
    with (
        _embedded(tmp_path) as (up, address),
        subprocess.Popen(
            [CORE, "kafka", "publish", "tasks"],
            cwd=tmp_path,
            env=environment(KAFKA_BOOTSTRAP_SERVERS=address),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as publish,
    ):
        assert publish.stdin is not None
        assert publish.stderr is not None
        assert "publishing to tasks" in publish.stderr.readline()
        os.kill(up.pid, signal.SIGSTOP)
        publish.stdin.write("1\n")
        publish.stdin.flush()
        until_it_is_read(publish.stdin)
        for _ in range(ctrl_cs):
            with pytest.raises(subprocess.TimeoutExpired):
                publish.wait(0.5)
            publish.send_signal(signal.SIGINT)
        assert publish.wait(PATIENCE) == 130
        told = publish.stderr.read()
    assert "stopped: 0 messages acknowledged" in told
    assert "1 more was read and not acknowledged, and may be stored or not" in told
    assert "Task was destroyed" not in told
    assert "Traceback" not in told
