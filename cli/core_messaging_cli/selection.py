"""Which workers a command means."""

from __future__ import annotations

from pathlib import Path

import click

from core_messaging.discovery.project import Project
from core_messaging.worker import Worker


def nothing_found() -> str:
    """Where all workers were looked for."""
    place = Project(Path.cwd()).nothing_here()
    return f"no installed package has an entry point in core.workers, and there is {place}"


def some_of(workers: list[type[Worker]]) -> list[type[Worker]]:
    """*workers*, if there are any. Raises click.ClickException."""
    if not workers:
        raise click.ClickException(f"there is no worker to run: {nothing_found()}; see `core kafka workers`")
    return workers
