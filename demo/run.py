"""Publish the tasks, wait until each of them is settled, stop the worker, and compare the counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from core_messaging import get_producer
from core_messaging.publishing.outgoing import outgoing
from demo.books import Books
from demo.commands import RunningWorker, worker
from demo.letters import Letters, letters
from demo.postbox import Postbox
from demo.tasks import Task

TOPIC, DEAD_LETTERS = "emails", "emails-dlq"
PATIENCE = 50.0  # seconds for all tasks together


@dataclass(frozen=True)
class Scene:
    """Everything that the run needs. ``environment`` has the addresses of Kafka and the mail server."""

    tasks: Sequence[Task]
    postbox: Postbox
    folder: Path
    environment: Mapping[str, str]
    console: Console


async def run(scene: Scene) -> Books:
    """Publish the tasks, and work until each is settled. Raises DemoFailed if the worker ends by itself."""
    await publish(scene.tasks)
    return await work(scene, len(scene.tasks))


async def work(scene: Scene, ends: int) -> Books:
    """Run the worker until there are *ends* mails and dead letters, counted from the start of the demo. Raises DemoFailed."""
    async with letters(scene.environment["KAFKA_BOOTSTRAP_SERVERS"], DEAD_LETTERS) as dead:
        with worker(scene.folder, scene.environment) as running:
            await wait(scene, dead, running, ends)
            # Counted after the worker has drained, so messages that came twice are counted too.
            await asyncio.to_thread(running.stop)
        await dead.read(seconds=1.0)
    postbox = scene.postbox
    return Books(postbox.received, postbox.tries, dead.found, postbox.last - postbox.first)


async def publish(tasks: Sequence[Task]) -> None:
    """Publish each line as it is in the file, and wait for its acknowledgement."""
    async with get_producer("kafka") as producer:
        await producer.send_records(outgoing(TOPIC, task.line, task.key) for task in tasks)


async def wait(scene: Scene, dead: Letters, running: RunningWorker, ends: int) -> None:
    deadline = time.monotonic() + PATIENCE
    with progress(scene.console) as bar:
        done = bar.add_task("core kafka worker --all", total=ends)
        while not met_their_end(scene, dead, bar, done, ends):
            running.check()
            if time.monotonic() > deadline:
                return  # the counts will show what is missing
            await dead.read(seconds=0.1)


def met_their_end(scene: Scene, dead: Letters, bar: Progress, done: TaskID, ends: int) -> bool:
    count = scene.postbox.count + len(dead.found)
    bar.update(done, completed=count)
    return count >= ends


def progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
