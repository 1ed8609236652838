"""Runs the demo: exit code 0 when every count is as it has to be, else 1."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from core_messaging.local_broker.embedded import EmbeddedBroker
from core_messaging.local_broker.ports import HOST
from demo import commands, run
from demo.books import differences
from demo.postbox import Postbox
from demo.table import table
from demo.tasks import Task, load

SHOWN = 10  # of the things that are off


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
    off = differences(tasks, books)
    for sentence in off[:SHOWN]:
        console.print(f"OFF: {sentence}", markup=False)
    console.print(f"{len(off)} counts are off" if off else "every count is as it has to be", style="bold")
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
