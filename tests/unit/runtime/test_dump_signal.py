"""SIGUSR1 writes a dump to standard error, and what a program has set for itself stays."""

from __future__ import annotations

import os
import signal

import pytest

from core_messaging.runtime.dump_signal import dumps_on_signal


def test_the_signal_writes_the_dump_and_is_free_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    with dumps_on_signal(lambda: "what it does: \ud800"):
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)
    assert capfd.readouterr().err == "what it does: \\ud800\n" * 2
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_a_handler_of_the_program_is_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    try:
        with dumps_on_signal(lambda: "never"):
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]
