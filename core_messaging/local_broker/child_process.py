"""A child process that ends when this process ends, however this process ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

# A process that is killed with SIGKILL cannot stop its children. So a shell runs between the two. It holds the read end of
# a pipe, and only this process has the write end. When this process ends, the kernel closes the write end, and the shell
# kills the child. This works on every POSIX system. The kernel's own parent-death signal exists on Linux only, and it fires
# when the thread that started the child ends, which may be long before the process ends.
#
# The shell prints the process id of the child, so signals go to the child and not to the shell. The child cannot read the
# pipe: its input is /dev/null. The guard is gone before the shell exits with the child's exit code.
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


PAUSE_TIMEOUT = 5.0  # seconds to wait until all threads have stopped


class GuardedProcess:
    """A running command whose output goes to *log*. It is killed when this process ends.

    A Ctrl-C in the terminal does not reach the command: this process decides when and how it stops.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._shell = subprocess.Popen(  # noqa: S603 - our command; no shell syntax of others
            ["/bin/sh", "-c", _GUARD, "guard", str(log), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The shell prints here that its child was killed. The output of the child is in the log.
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._shell.stdout is not None  # noqa: S101 - PIPE above
        with self._shell.stdout as answer:
            self.pid = int(answer.readline())

    @property
    def exit_code(self) -> int | None:
        """The exit code of the command; 128 + n if signal n ended it. None while it runs."""
        return self._shell.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command; do nothing if it has ended."""
        if self.exit_code is None:
            self._signal(number)

    def pause(self) -> None:
        """Send SIGSTOP and wait until every thread of the command has stopped.

        On a busy machine that takes a moment, and a thread may still answer in that time. A system without ``/proc`` does
        not tell, and then there is no wait.
        """
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + PAUSE_TIMEOUT
        while time.monotonic() < deadline and any(state not in "TtZX" for state in self._states()):
            time.sleep(0.001)

    def resume(self) -> None:
        """Send SIGCONT."""
        self.send(signal.SIGCONT)

    def _states(self) -> list[str]:
        """Return one letter for the state of each thread, as in ``man 5 proc``."""
        states = []
        for thread in Path("/proc", str(self.pid), "task").glob("*/stat"):
            with contextlib.suppress(OSError):  # the thread has ended meanwhile
                states.append(thread.read_text().rpartition(")")[2].split()[0])
        return states

    def wait(self, timeout: float | None) -> int | None:
        """Wait until the command ends, at most *timeout* seconds (None: no limit).

        Return its exit code, or None if it still runs.
        """
        try:
            code = self._shell.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._close_pipe()
        return code

    def kill(self) -> None:
        """Kill the command, also if it is paused, and wait until it has ended."""
        self.send(signal.SIGKILL)
        self._shell.wait()
        self._close_pipe()

    def stop(self, timeout: float) -> None:
        """Send SIGTERM; kill the command if it still runs after *timeout* seconds."""
        self.send(signal.SIGTERM)
        if self.wait(timeout) is None:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            # The command ended between the check and the signal. The shell exits in a moment.
            return

    def _close_pipe(self) -> None:
        if self._shell.stdin is not None:
            self._shell.stdin.close()
