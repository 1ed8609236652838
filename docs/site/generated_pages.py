"""Pages that a machine knows better: the command line, the settings, the options of workers, the benchmarks.

They are written anew before each build, into docs/generated, which is not kept.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args

import click
from core_messaging_cli.main import core

from core_messaging.config import WorkerConfig
from core_messaging.settings import Settings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "docs" / "generated"
NOT_GIVEN = ("source", "declared_topics")  # what the runtime adds to the options of a worker


def command_line() -> str:
    """Every command with its help and its options, as click knows them."""
    pages = [
        "# Command line",
        "`core --help` and `core COMMAND --help` show the same.",
        *_commands(core, "core"),
    ]
    return "\n\n".join(pages) + "\n"


def _commands(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    if not isinstance(command, click.Group):
        yield from _one(command, context, path)
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None, name
        yield from _commands(found, f"{path} {name}")


def _one(command: click.Command, context: click.Context, path: str) -> Iterator[str]:
    yield f"## {path}"
    yield f"```console\n$ {' '.join([path, *command.collect_usage_pieces(context)])}\n```"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```text\n{paragraph.removeprefix(chr(8)).strip()}\n```"
        else:
            yield _escaped(paragraph)
    rows = [_option(each, context) for each in command.params if isinstance(each, click.Option)]
    yield "\n".join(
        ["| option | meaning |", "|---|---|", *rows, "| `--help` | Show the help of the command. |"]
    )


def _option(option: click.Option, context: click.Context) -> str:
    name = option.opts[0] if option.is_flag else f"{option.opts[0]} {option.make_metavar(context)}"
    notes = [option.help or ""]
    if option.multiple:
        notes.append("Repeatable.")
    if option.show_default and not option.is_flag and option.default is not None:
        notes.append(f"Default: {option.default}.")
    if option.envvar:
        notes.append(f"In the environment: {option.envvar}.")
    return f"| `{_in_table(name)}` | {_in_table(_escaped(' '.join(notes)))} |"


def settings() -> str:
    """Each setting with its variable, type and default."""
    rows = [
        f"| `{name}` | `{name.upper()}` | `{_in_table(_type(field.annotation))}` | `{field.default!r}` |"
        for name, field in Settings.model_fields.items()
    ]
    table = "\n".join(["| setting | in the environment | type | default |", "|---|---|---|---|", *rows])
    return f"# Settings\n\nWhat each of them means is in [Operating](../operating.md#settings).\n\n{table}\n"


def options() -> str:
    """Each option of a worker with its type and default."""
    rows = []
    for field in fields(WorkerConfig):
        if field.name not in NOT_GIVEN:
            default = "required" if field.default is MISSING else f"`{field.default!r}`"
            rows.append(f"| `{field.name}` | `{_in_table(str(field.type))}` | {default} |")
    table = "\n".join(["| field | type | default |", "|---|---|---|", *rows])
    meanings = (ROOT / "README.md").read_text("utf-8").partition("\n## Options\n")[2].partition("\n## ")[0]
    meanings = meanings.replace("](docs/", "](../")
    return (
        f"# Options of workers\n{meanings}\n## As the runtime has them\n\n"
        f'`get_worker("Name")` returns them.\n\n{table}\n'
    )


def benchmarks() -> str:
    """The results, as the benchmark has written them."""
    return _of_benchmarks("RESULTS.md")


def benchmark_method() -> str:
    """How the benchmark measures."""
    return _of_benchmarks("NOTES.md")


def _of_benchmarks(name: str) -> str:
    text = (ROOT / "benchmarks" / name).read_text("utf-8")
    for file, page in (("RESULTS.md", "benchmarks.md"), ("NOTES.md", "benchmark-method.md")):
        text = text.replace(f"]({file}", f"]({page}")
    return re.sub(r"\]\((\w+\.png)\)", r"](../../benchmarks/\1)", text)


def _type(annotation: Any) -> str:
    if isinstance(annotation, types.UnionType) or get_args(annotation):
        return str(annotation).replace("typing.", "")
    return str(getattr(annotation, "__name__", annotation))


def _in_table(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def _escaped(text: str) -> str:
    return text.replace("<", r"\<").replace("*", r"\*")


PAGES = {
    "command-line": command_line,
    "settings": settings,
    "options": options,
    "benchmarks": benchmarks,
    "benchmark-method": benchmark_method,
}


def write() -> None:
    """Write all pages; one that is the same is left alone, so that a build can tell what has changed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        file, text = FOLDER / f"{name}.md", page()
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda _: write())
    return {"parallel_read_safe": True}
