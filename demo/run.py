"""Publish, work, wait until each task has met its end, stop the worker, look at the books."""

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
    """Everything the run needs. ``environment`` tells the worker where Kafka and the mail server are."""

    tasks: Sequence[Task]
    postbox: Postbox
    folder: Path
    environment: Mapping[str, str]
    console: Console


async def run(scene: Scene) -> Books:
    """Publish the tasks, and work until each has met its end. Raises DemoFailed if the worker dies."""
    await publish(scene.tasks)
    return await work(scene, len(scene.tasks))


async def work(scene: Scene, ends: int) -> Books:
    """Run the worker until *ends* mails and dead letters are there, from the beginning on. Raises DemoFailed."""
    async with letters(scene.environment["KAFKA_BOOTSTRAP_SERVERS"], DEAD_LETTERS) as dead:
        with worker(scene.folder, scene.environment) as running:
            await wait(scene, dead, running, ends)
            # Only after the worker has drained are the books closed: what came twice shows up here.
            await asyncio.to_thread(running.stop)
        await dead.read(seconds=1.0)
    postbox = scene.postbox
    return Books(postbox.received, postbox.tries, dead.found, postbox.last - postbox.first)


async def publish(tasks: Sequence[Task]) -> None:
    """Each line as it is in the file, acknowledged by the broker."""
    async with get_producer("kafka") as producer:
        await producer.send_records(outgoing(TOPIC, task.line, task.key) for task in tasks)


async def wait(scene: Scene, dead: Letters, running: RunningWorker, ends: int) -> None:
    deadline = time.monotonic() + PATIENCE
    with progress(scene.console) as bar:
        done = bar.add_task("core kafka worker --all", total=ends)
        while not met_their_end(scene, dead, bar, done, ends):
            running.check()
            if time.monotonic() > deadline:
                return  # the books will tell what is missing
            await dead.read(seconds=0.1)


def met_their_end(scene: Scene, dead: Letters, bar: Progress, done: TaskID, ends: int) -> bool:
    count = scene.postbox.count + len(dead.found)
    bar.update(done, completed=count)
    return count >= ends


def progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
