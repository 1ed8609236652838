"""Runs the demo. Exit code 0 if every count is right, else 1."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console

from core_messaging.local_broker.embedded import EmbeddedBroker
from core_messaging.local_broker.ports import HOST
from demo import commands, run
from demo.books import MENDED, differences, open_letters
from demo.postbox import Postbox
from demo.table import table
from demo.tasks import Fate, Task, load

WORKER = "EmailWorker"
FULL = "SMTPRecipientsRefused"  # the error type of a mail to a mailbox that is full
SHOWN = 10  # differences that are printed


def main() -> int:
    console = Console()
    try:
        console.print("pip install example_plugins/email-worker")
        commands.install()
        return demonstrate(load(), console)
    except commands.DemoFailed as failure:
        console.print(f"demo: {failure}", markup=False)
        return 1


def demonstrate(tasks: list[Task], console: Console) -> int:
    with EmbeddedBroker() as broker, Postbox() as postbox, tempfile.TemporaryDirectory() as folder:
        console.print(f"Kafka (embedded) at {broker.address}, mail server at {HOST}:{postbox.port}")
        for topic in (run.TOPIC, run.DEAD_LETTERS):
            broker.create_topic(topic)
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(postbox.port),
        }
        os.environ.update(environment)
        scene = run.Scene(tasks, postbox, Path(folder), environment, console)
        books = asyncio.run(run.run(scene))
        console.print(table(len(tasks), books))
        off = differences(tasks, books) + mend(scene)
    for sentence in off[:SHOWN]:
        console.print(f"OFF: {sentence}", markup=False)
    console.print(f"{len(off)} counts are off" if off else "every count is as it has to be", style="bold")
    return 1 if off else 0


def mend(scene: run.Scene) -> list[str]:
    """Make room in the full mailboxes and replay their dead letters. Returns the differences afterwards."""

    def dlq(*words: str) -> str:
        said = commands.dead_letters(scene.folder, scene.environment, *words)
        if "--json" not in words:
            scene.console.print(f"\n$ core kafka dlq {' '.join(words)}", style="bold")
            scene.console.print(said, markup=False, highlight=False, soft_wrap=True)
        return said

    dlq("list", WORKER)
    scene.console.print("\nThe full mailboxes are emptied.")
    scene.postbox.has_room = True
    dlq("replay", WORKER, "--error-type", FULL, "--yes")
    fates = Counter(task.fate for task in scene.tasks)
    books = asyncio.run(run.work(scene, len(scene.tasks) + fates[Fate.GIVEN_UP]))
    dlq("list", WORKER)
    groups = json.loads(dlq("list", WORKER, "--json"))["groups"]
    return differences(scene.tasks, books, MENDED) + open_letters(scene.tasks, groups)


if __name__ == "__main__":
    sys.exit(main())
