"""What the docs list is what there is: settings, fields of Context, worker options, commands and their options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from core_messaging_cli.main import core

from core_messaging.context import Context
from core_messaging.options import Backoff
from core_messaging.rules.retry import RetryPolicy
from core_messaging.settings import Settings
from tests.environments import ROOT

OPERATING = (ROOT / "docs/operating.md").read_text()
WORKERS = (ROOT / "docs/workers.md").read_text()


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def words_in_first_column(text: str) -> set[str]:
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`(\w+)`", row)}


def test_every_setting_is_in_the_table_of_settings_and_nothing_else_is() -> None:
    assert words_in_first_column(section(OPERATING, "Settings")) == set(Settings.model_fields)


def test_every_field_of_context_is_in_the_docs() -> None:
    fields = {name for name in dir(Context) if not name.startswith("_")}
    assert fields == set(re.findall(r"`(\w+)`", words_of_context())) & fields


def words_of_context() -> str:
    return WORKERS.partition("| `context.` | |\n")[2].partition("\n\n")[0]


def commands_below(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands_below(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands_below(core, "core"))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_in_the_table_of_commands(path: str) -> None:
    rows = [line for line in section(OPERATING, "Commands").splitlines() if line.startswith("| ")]
    (row,) = [line for line in rows if re.search(f"`{path}[ `]", line.partition(" | ")[0] + " ")]
    options = [option.opts[0] for option in COMMANDS[path].params if isinstance(option, click.Option)]
    assert not [option for option in options if option not in row]


@pytest.mark.parametrize("backoff", get_args(Backoff))
def test_the_delays_in_the_table_of_backoffs_are_those_of_the_policy(backoff: Backoff) -> None:
    # The first exponential delay is twice initial_delay, which surprised readers.
    (row,) = re.findall(rf'^\| `"{backoff}"`.*$', section(WORKERS, "Retries"), re.MULTILINE)
    policy = RetryPolicy(backoff=backoff, initial_delay=1.0)
    delays = [float(number) for number in re.findall(r"(\d+) s", row)]
    assert delays == [policy.delay(retry) for retry in (1, 2, 3, 4)]


def promised_by() -> list[str]:
    named: list[str] = []
    for text in re.findall(
        r"`([\w/]*(?:test_\w+\.py)?(?:::\w+)?)`", (ROOT / "docs/guarantees.md").read_text()
    ):
        if text.startswith("::"):
            named.append(named[-1].partition("::")[0] + text)
        elif "test_" in text:
            named.append(text)
    return named


@pytest.mark.parametrize("named", sorted(set(promised_by())))
def test_each_test_that_the_guarantees_name_is_there(named: str) -> None:
    file, _, function = named.partition("::")
    (path,) = [
        each for each in (ROOT / "tests/unit" / file, ROOT / "tests/integration" / file) if each.exists()
    ]
    assert f"def {function}" in path.read_text()


@pytest.mark.parametrize(
    "picture", sorted((ROOT / "docs/pictures").glob("*.svg")), ids=lambda each: each.name
)
def test_a_picture_loads_nothing_from_elsewhere(picture: Path) -> None:
    drawn = picture.read_text("utf-8")
    assert re.findall(r"(?:href|src)=.https?:[^\"']*|url\([^)#]*http[^)]*\)|@import", drawn) == []
