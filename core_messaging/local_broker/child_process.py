"""A child process that does not outlive this one, whatever kills this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

# A parent that is killed with SIGKILL can tidy up nothing itself. So a shell stands between: it holds the read
# end of a pipe of which only this process has the write end, and the end of this process, however it comes,
# closes that. Plain POSIX; the kernel's own parent-death signal is for Linux only, and it fires at the end of
# the thread that started the child, which may be long before that of the process.
#
# The shell tells the child's own process id, so that signals go to the child and not to the shell. The child
# cannot read the pipe (its input is /dev/null), and the guard is gone before the shell has said how it ended.
_GUARD = """
log=$1; shift
exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
child=$!
echo "$child"
exec >&-
(read -r line <&3; kill -KILL "$child") 2>/dev/null &
guard=$!
exec 3<&-
wait "$child"
code=$?
kill -KILL "$guard" 2>/dev/null
exit "$code"
"""


PAUSED_WITHIN = 5.0  # seconds


class GuardedProcess:
    """A running command whose output goes to *log*; it is killed when this process ends.

    A Ctrl-C in the terminal does not reach it: who started it decides when and how it stops.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._shell = subprocess.Popen(  # noqa: S603 - our command; no shell syntax of others
            ["/bin/sh", "-c", _GUARD, "guard", str(log), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The shell's own remark that its child was killed; the child's words are in the log.
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._shell.stdout is not None  # noqa: S101 - PIPE above
        with self._shell.stdout as answer:
            self.pid = int(answer.readline())

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + n when signal n ended it."""
        return self._shell.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command itself; nothing happens if it has ended."""
        if self.exit_code is None:
            self._signal(number)

    def pause(self) -> None:
        """SIGSTOP, and wait until every thread of it has stopped: on a busy machine that takes a moment, in which a thread
        may still answer. Where the system does not tell (no ``/proc``), it is not waited for."""
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + PAUSED_WITHIN
        while time.monotonic() < deadline and any(state not in "TtZX" for state in self._states()):
            time.sleep(0.001)

    def resume(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def _states(self) -> list[str]:
        """One letter a thread, as in ``man 5 proc``."""
        states = []
        for thread in Path("/proc", str(self.pid), "task").glob("*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                states.append(thread.read_text().rpartition(")")[2].split()[0])
        return states

    def wait(self, timeout: float | None) -> int | None:
        """Its exit code, or None where it still runs after *timeout* seconds (None: however long it takes)."""
        try:
            code = self._shell.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._close_pipe()
        return code

    def kill(self) -> None:
        """End it now, also if it is paused, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self._shell.wait()
        self._close_pipe()

    def stop(self, timeout: float) -> None:
        """Ask it to end (SIGTERM); after *timeout* seconds end it."""
        self.send(signal.SIGTERM)
        if self.wait(timeout) is None:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            # It ended between the question and the signal; the shell is about to say so.
            return

    def _close_pipe(self) -> None:
        if self._shell.stdin is not None:
            self._shell.stdin.close()
