"""The ledger: a file in which workers write one line for each start and each finish. All processes share it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WORKER = """
import asyncio, json, os, time
from core_messaging import Context, Worker

LEDGER = os.open("ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def note(event, message):
    # One write for one line, so lines of several processes do not mix.
    os.write(LEDGER, f"{{time.time():.6f}} {{event}} {{message['key']}} {{message['n']}} {{os.getpid()}}\\n".encode())

class Ledger(Worker):
    input_topic = "{topic}"
    group_id = "{topic}"
    dlq_topic = "{dlq}"
    concurrency = 8
    max_retries = 2
    initial_delay = 0.02

    async def process(self, message: dict, context: Context) -> None:
        note("start", message)
        if message.get("kills"):
            os._exit(9)
        await asyncio.sleep(message["seconds"])
        if context.attempt <= message.get("fails", 0):
            raise ValueError("not yet, or never")
        note("finish", message)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    time: float
    event: str
    key: str
    number: int
    pid: int


def project(folder: Path, topic: str, dlq: str) -> Path:
    """Write a project with the worker of the ledger into *folder*."""
    (folder / "src/workers").mkdir(parents=True)
    (folder / "src/workers/ledger.py").write_text(WORKER.format(topic=topic, dlq=dlq))
    return folder


def messages(count: int, keys: int, seconds: float) -> list[tuple[bytes, bytes]]:
    """Make messages numbered from 0, with *keys* keys in turn. Handlers take about *seconds*, the same for the same number."""
    chance = random.Random(count)
    return [
        (
            b"key-%d" % (n % keys),
            json.dumps(
                {"n": n, "key": f"key-{n % keys}", "seconds": chance.uniform(0, 2 * seconds)}
            ).encode(),
        )
        for n in range(count)
    ]


class Ledger:
    """Read the file as it is now."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ledger"

    def entries(self) -> list[Entry]:
        if not self._file.exists():
            return []
        return list(self._parse())

    def _parse(self) -> Iterator[Entry]:
        # A reader may see half of the last line, where it crosses a page of the file.
        whole, _, _ = self._file.read_text().rpartition("\n")
        for line in whole.splitlines():
            time, event, key, number, pid = line.split()
            yield Entry(float(time), event, key, int(number), int(pid))

    def finished(self) -> set[int]:
        return {entry.number for entry in self.entries() if entry.event == "finish"}

    def repeats(self) -> list[tuple[float, int]]:
        """List (time, number) of each finish that was not the last one of its message."""
        last: dict[int, float] = {}
        repeated = []
        for entry in self.entries():
            if entry.event == "finish":
                if entry.number in last:
                    repeated.append((last[entry.number], entry.number))
                last[entry.number] = entry.time
        return repeated

    def out_of_order(self) -> list[tuple[str, int, int]]:
        """List the first finishes of a key that are not ascending: (key, number, number that came before)."""
        seen: dict[str, int] = {}
        done: set[int] = set()
        wrong = []
        for entry in self.entries():
            if entry.event != "finish" or entry.number in done:
                continue
            done.add(entry.number)
            if seen.get(entry.key, -1) > entry.number:
                wrong.append((entry.key, entry.number, seen[entry.key]))
            seen[entry.key] = max(entry.number, seen.get(entry.key, -1))
        return wrong
