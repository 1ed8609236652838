"""Blocks of a page, and a shell that is given the commands of a page as they stand, one after the other, as a reader types them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.commands import Running

INSTALLING = 150.0  # seconds that a command may take: pip asks the index for each dependency
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(text: str) -> list[tuple[str, str]]:
    """Language and content of each block of a page."""
    return _BLOCK.findall(text)


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
        self._heard = 0  # lines before the last command

    @property
    def output(self) -> str:
        return self._running.output

    def give(self, line: str) -> None:
        """Run *line* to its end, or until it is in the background; it has to succeed."""
        self._given += 1
        self._heard = len(self._running.lines)
        done = f"[command {self._given}: "
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\necho '{done}'$?']'\n")
        self._process.stdin.flush()
        self._running.until(lambda: done in self.output, INSTALLING)
        assert f"{done}0]" in self.output, self.output

    def end(self) -> None:
        """Kill bash if it has not ended, and close its output."""
        self._running.end()

    def until_said(self, text: str) -> None:
        """Wait until *text* is shown, by the last command or by what runs in the background since then."""
        self._running.until(lambda: any(text in line for line in self._running.lines[self._heard :]))

    def follow(self, block: str) -> None:
        """Give the commands of a console block, and wait for what it shows below each."""
        for command in commands_of(block):
            self.give(command.line)
            for line in command.shown:
                # Any free port instead of the default one, which somebody on this machine may use.
                self.until_said(line.replace("127.0.0.1:9092", self.env["KAFKA_BOOTSTRAP_SERVERS"]))

    def write(self, name: str, text: str) -> None:
        """Write a file that a page shows."""
        self.give(f"cat > {name} <<'END OF FILE'\n{text}END OF FILE")


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
    given = Shell(process, env)
    try:
        with process.stdin as stdin:
            try:
                yield given
            finally:
                stdin.write("kill -9 $(jobs -p) 2>/dev/null\nexit\n")
        process.wait(60)
    finally:
        given.end()


@dataclass(frozen=True)
class Beginner:
    """A folder with an environment in it, and what makes a shell use that."""

    folder: Path
    env: Mapping[str, str]
    activating: str

    @contextmanager
    def terminal(self) -> Iterator[Shell]:
        """A new shell, whose first job is number 1."""
        with shell(self.folder, self.env) as given:
            given.give(self.activating)
            yield given
