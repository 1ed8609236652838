"""A shell that is given the commands of a page as they stand, one after the other, as a reader types them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.commands import Running


@dataclass(frozen=True)
class Command:
    """A line behind a prompt, and what the page shows below it."""

    line: str
    shown: tuple[str, ...]


def commands_of(block: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Command(line.removeprefix("$ "), ()))
        else:
            last = found[-1]
            found[-1] = Command(last.line, (*last.shown, line))
    return found


class Shell:
    """A running bash. What its background jobs say is heard too."""

    def __init__(self, process: subprocess.Popen[str], env: Mapping[str, str]) -> None:
        self.env = env
        self._process = process
        self._running = Running(process)
        self._given = 0

    @property
    def output(self) -> str:
        return self._running.output

    def give(self, line: str) -> None:
        """Run *line* to its end, or until it is in the background; it has to succeed."""
        self._given += 1
        done = f"[command {self._given}: "
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\necho '{done}'$?']'\n")
        self._process.stdin.flush()
        self._running.until_said(done)
        assert f"{done}0]" in self.output, self.output

    def until_said(self, text: str) -> None:
        self._running.until_said(text)


@contextmanager
def shell(folder: Path, env: Mapping[str, str]) -> Iterator[Shell]:
    """bash in *folder*, with *env* and nothing else; its background jobs end with it."""
    process = subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None
    try:
        with process.stdin as stdin:
            yield Shell(process, env)
            stdin.write("kill -9 $(jobs -p) 2>/dev/null\nexit\n")
        process.wait(20)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
