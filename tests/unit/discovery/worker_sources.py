"""Source texts of modules that define workers, and where tests write them."""

from __future__ import annotations

from pathlib import Path

GOOD = """
from core_messaging import Worker, worker
from core_messaging.worker import Worker as Imported

class {name}(Worker):
    input_topic = "t-{name}"
    async def process(self, message: dict) -> None: ...
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
