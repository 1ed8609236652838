"""``core new``: writes a project or a package to begin with, with tests that pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from core_messaging.errors import ExtraMissing, FolderRefused
from core_messaging_cli.lazy import LazyGroup
from core_messaging_cli.package_names import names_for
from core_messaging_cli.tables import say

_HERE = "core_messaging_cli.commands.new"

TABLE = {
    "project": (f"{_HERE}:project", "A project: settings, a worker, tests, Dockerfile, compose file, CI."),
    "worker": (f"{_HERE}:worker", "A package with a worker."),
    "plugin": (f"{_HERE}:plugin", "A package with a plugin."),
}


@click.group(cls=LazyGroup, table=TABLE)
def new() -> None:
    """Write a project or a package to begin with, with tests that pass."""


@click.command()
@click.argument("name")
def project(name: str) -> None:
    """Write a project with a worker into the folder NAME.

    \b
    core new project parcel-tracker
    """
    _write("project", name, installed={})


@click.command()
@click.argument("name")
def worker(name: str) -> None:
    """Write a package with a worker into the folder NAME.

    \b
    core new worker invoice-mailer
    """
    # A worker of another package may have the same name: `package:Name` says which one.
    _write("worker", name, installed={})


@click.command()
@click.argument("name")
def plugin(name: str) -> None:
    """Write a package with a plugin into the folder NAME.

    \b
    core new plugin slack-notifier
    """
    _write("plugin", name, installed=_built_in())


def _built_in() -> dict[str, str]:
    """Return the names of the built-in plugins: another plugin of such a name would be in conflict."""
    from core_messaging.plugins.manager import entry_points  # noqa: PLC0415 - pluggy only where plugins are read

    ours = [point for point in entry_points() if point.distribution == "core-messaging"]
    return {point.name: "the plugins of core-messaging" for point in ours}


def _write(kind: str, name: str, installed: Mapping[str, str]) -> None:
    words = asdict(names_for(name, installed)) | {"version": version("core-messaging")}
    folder = Path(name)
    _check_folder(folder)
    # All pages are rendered before the first one is written, so an error leaves no half package behind.
    pages = list(_rendered(kind, words))
    try:
        for path, text in pages:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FolderRefused(str(folder), f"cannot be written ({error.strerror})") from error
    needed = "-r requirements-dev.txt" if kind == "project" else "-e '.[test]'"
    say(f"wrote {folder}: cd {folder} && pip install {needed} && pytest")


def _check_folder(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise FolderRefused(str(folder), "exists already and is not an empty folder")


def _rendered(kind: str, words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    try:
        import jinja2  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ExtraMissing("`core new`", "Jinja", "new") from error
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - not HTML
    )
    for path, file in _files(files("core_messaging_cli") / "templates" / kind):
        name = environment.from_string(path).render(words)
        yield name.removesuffix(".jinja"), environment.from_string(file.read_text("utf-8")).render(words)


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry
