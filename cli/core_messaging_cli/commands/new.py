"""``core new``: a package to begin with, that can be installed and whose tests pass."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from core_messaging.errors import CoreMessagingError
from core_messaging_cli.lazy import LazyGroup

_HERE = "core_messaging_cli.commands.new"

TABLE = {
    "worker": (f"{_HERE}:worker", "A package with a worker."),
    "plugin": (f"{_HERE}:plugin", "A package with a plugin."),
}

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")


@click.group(cls=LazyGroup, table=TABLE)
def new() -> None:
    """Write a package to begin with: pyproject.toml with its entry point, source, tests, README."""


@click.command()
@click.argument("name")
def worker(name: str) -> None:
    """Write a package with a worker into the folder NAME.

    \b
    core new worker invoice-mailer
    """
    _write("worker", name)


@click.command()
@click.argument("name")
def plugin(name: str) -> None:
    """Write a package with a plugin into the folder NAME.

    \b
    core new plugin slack-notifier
    """
    _write("plugin", name)


class CannotWrite(CoreMessagingError):
    """The package cannot be called so, or cannot be written there."""


def _write(kind: str, name: str) -> None:
    words = _words(name)
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotWrite(f"{folder} exists already, nothing was written; choose another name, or remove it")
    for path, text in _rendered(kind, words):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    click.echo(f"wrote {folder}: cd {folder} && pip install -e '.[test]' && pytest")


def _words(name: str) -> dict[str, str]:
    """What the templates fill in. Raises CannotWrite."""
    module = re.sub(r"[-_]+", "_", name).lower()
    if not _NAME.fullmatch(name):
        raise CannotWrite(
            f"{name!r} is no package name; use letters, digits and single dashes: invoice-mailer"
        )
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module.startswith("core_messaging"):
        raise CannotWrite(f"{name!r} would hide a module that is there already; choose another name")
    camel = "".join(word[:1].upper() + word[1:] for word in re.split("[-_]", name))
    return {
        "name": name,
        "module": module,
        "cls": camel,
        "topic": module.replace("_", "-"),
        "version": version("core-messaging"),
    }


def _rendered(kind: str, words: dict[str, str]) -> Iterator[tuple[str, str]]:
    try:
        import jinja2  # noqa: PLC0415 - an extra
    except ImportError:
        raise CannotWrite("`core new` needs Jinja; pip install 'core-messaging[new]'") from None
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
