"""Which workers a command means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from core_messaging.config import WorkerConfig
from core_messaging.discovery.catalog import Catalog
from core_messaging.discovery.project import Project
from core_messaging.discovery.worker_file import is_file, workers_in_file
from core_messaging.worker import Worker, config_of
from core_messaging_cli.tables import say


def check_selection(names: Sequence[str], *, everything: bool) -> None:
    """A command takes either names or --all. Raises click.UsageError."""
    if everything and names:
        raise click.UsageError(f"give {' '.join(names)} or --all, not both: --all means every worker")
    if not everything and not names:
        raise click.UsageError("give the NAME of one or more workers, or --all (see `core kafka workers`)")


def nothing_found() -> str:
    """Say which places were searched for workers."""
    place = Project(Path.cwd()).searched_place()
    return f"no installed package has an entry point in core.workers, and there is {place}"


def some_of(workers: list[type[Worker]]) -> list[type[Worker]]:
    """Return *workers*. Raises click.ClickException if there are none."""
    if not workers:
        raise click.ClickException(f"there is no worker to run: {nothing_found()}; see `core kafka workers`")
    return workers


def workers_named(catalog: Catalog, names: Sequence[str]) -> list[type[Worker]]:
    """Find the workers named by *names*: each is ``NAME``, ``package:NAME``, ``path/to/file.py`` or ``path/to/file.py:NAME``."""
    project = Project(Path.cwd())
    found = [
        worker
        for name in names
        for worker in (workers_in_file(name, project) if is_file(name) else [catalog.find(name)])
    ]
    return list(dict.fromkeys(found))


def worker_named(catalog: Catalog, name: str) -> WorkerConfig:
    """Find the one worker that *name* means. Raises DiscoveryError; click.UsageError for a file with several."""
    found = [config_of(worker) for worker in workers_named(catalog, [name])]
    if len(found) > 1:
        names = ", ".join(f"{name}:{config.name}" for config in found)
        raise click.UsageError(f"{name} defines several workers; name one of them: {names}")
    return found[0]


def chosen(catalog: Catalog, names: Sequence[str]) -> list[type[Worker]]:
    """Find the workers called *names*. Without names: all that can run; the others are named on stderr."""
    if names:
        return workers_named(catalog, names)
    for who, cause in catalog.culprits().items():
        say(f"not shown: {who}: {cause}", err=True)
    return some_of(catalog.healthy())
