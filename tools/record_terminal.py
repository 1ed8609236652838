"""Makes the picture of a terminal in the README from a real run. Call it: ``python tools/record_terminal.py``.

A broker starts, a worker works, is killed and started again; nothing is lost, and a dead letter is replayed. What the
commands say is drawn as it came; only times are cut off, and lines that repeat what the picture shows already.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs/pictures/terminal.svg"
CORE = str(Path(sys.executable).with_name("core"))
WIDTH = 108  # columns
PATIENCE = 60.0  # seconds
COMMITTED = 0.5  # seconds between two commits
WORKER = """\
from core_messaging import worker

@worker(topic="orders", dlq_topic="orders-dlq", max_retries=0)
async def ship(message: dict) -> None:
    if message["country"] == "XX":
        raise LookupError("no carrier for XX")
    print("shipped", message["id"])
"""
SHOWN = re.compile(
    r"broker at|ship has|shipped|to orders-dlq after|acknowledged|replayed|LookupError +1|goes on"
)


class Terminal:
    """Gives commands in one folder and draws what they say."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._console = Console(record=True, width=WIDTH, force_terminal=True, file=io.StringIO())
        self._env = {
            **os.environ,
            "COMMIT_INTERVAL": str(COMMITTED),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": str(WIDTH),
        }
        self._env |= {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{os.environ.get('CORE_KAFKA_PORT', '9092')}"}
        self.lines: list[str] = []

    def prompt(self, line: str) -> None:
        """Draw a prompt with *line* behind it."""
        self._console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))

    def start(self, line: str) -> subprocess.Popen[str]:
        """Start a command in the background."""
        self.prompt(f"{line} &")
        process = subprocess.Popen(  # noqa: S603 - our own command
            [CORE, *line.split()[1:]],
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return process

    def run(self, line: str, given: str | None = None, shown_as: str | None = None) -> None:
        """Run a command to its end."""
        self.prompt(shown_as or line)
        done = subprocess.run(  # noqa: S603 - our own command
            [CORE, *line.split()[1:]],
            cwd=self._folder,
            env=self._env,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        for text in [*done.stdout.splitlines(), *done.stderr.splitlines()]:
            self._take(text)

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._take(line.rstrip())

    def _take(self, line: str) -> None:
        self.lines.append(line)
        text = re.sub(r"^\d{4}-\d\d-\d\d \S+ (\w+) +core_messaging\.\w+: ", r"\1 ", line)
        if SHOWN.search(text) and not text.startswith(" "):
            self._console.print(Text(text), overflow="ellipsis", no_wrap=True)

    def mend(self) -> None:
        """Let the worker do what it failed on."""
        self.prompt("sed -i '/XX/d' ship.py")
        file = self._folder / "ship.py"
        file.write_text("".join(line for line in WORKER.splitlines(keepends=True) if "XX" not in line))

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until *condition* holds. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("\n".join(self.lines))
            time.sleep(0.05)

    def until_said(self, text: str, times: int = 1) -> None:
        """Wait until *text* was said so often. Raises TimeoutError."""
        self.until(lambda: sum(text in line for line in self.lines) >= times)

    def draw(self) -> None:
        """Write the picture."""
        drawn = self._console.export_svg(title="core kafka", clear=False)
        # Without the fonts that it would load from another host.
        drawn = re.sub(r"<!--.*?-->\s*", "", drawn, flags=re.DOTALL)
        drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
        PICTURE.write_text(drawn, encoding="utf-8")


def order(number: int, country: str) -> str:
    """One message, as JSON."""
    return f'{{"id": {number}, "country": "{country}"}}\n'


def record(terminal: Terminal) -> None:
    """The run that the picture shows."""
    port = os.environ.get("CORE_KAFKA_PORT", "9092")
    broker = terminal.start("core kafka up" if port == "9092" else f"core kafka up --port {port}")
    terminal.until_said("broker at")
    worker = terminal.start("core kafka worker ship.py --create-topics")
    terminal.until_said("ship has")
    shop = "core kafka publish orders --file -"
    terminal.run(shop, order(1, "DE") + order(2, "XX"), f"shop | {shop}")
    terminal.until_said("shipped 1")
    terminal.until_said("to orders-dlq after")
    time.sleep(2 * COMMITTED)
    terminal.prompt("kill -9 %2")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    terminal.run(shop, order(3, "FR") + order(4, "IT"), f"shop | {shop}")
    terminal.mend()
    worker = terminal.start("core kafka worker ship.py")
    terminal.until_said("shipped 3")
    terminal.until_said("shipped 4")
    terminal.run("core kafka dlq list orders-dlq")
    terminal.run("core kafka dlq replay orders-dlq --yes")
    terminal.until_said("shipped 2")
    for process in (worker, broker):
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def main() -> None:
    """Run it in an empty folder, and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ship.py").write_text(WORKER)
        terminal = Terminal(Path(folder))
        record(terminal)
    terminal.draw()
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
